"""The linear probe: logistic regression on what frozen encoders found, and on the numbers.

Legend: B records, F, E, L, K as in `irene_model.network`. What is small data for IRENE is plenty
for a few thousand weights, so a small cohort's model has to be compared with this one. The loss is
convex, and a patient's gradient is that of linear layers: exact in every engine.
Its features are those of `LinearPath`.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel
from transformers import initialization as init

from irene_model.network import (
    DiagnosticModel,
    IreneConfig,
    IreneOutput,
    frozen_features,
    linear_heads,
    linear_logits,
    mean_loss,
    per_sample_loss,
)


class ProbeConfig(IreneConfig):
    """Of a `LinearProbe`: what it reads is IRENE's, and it has none of the other sizes."""

    model_type = "irene_probe"

    def __init__(self, **kwargs: Any) -> None:
        """transformers gives a configuration without an `__init__` of its own another one."""
        super().__init__(**kwargs)


class LinearProbe(DiagnosticModel):
    """Logistic regression, from zero weights. Each kind of features has its own part of them.

    A site that lacks the kind trains no weight of it. The bias is that of `head`, which reads
    presence.
    """

    config_class = ProbeConfig
    base_model_prefix = "irene_probe"

    def __init__(self, config: ProbeConfig) -> None:
        super().__init__(config)
        self.head = nn.Linear(2, config.num_labels)
        for name, head in linear_heads(config).items():
            self.add_module(name, head)
        self.post_init()

    def forward(
        self, *, labels: Tensor | None = None, label_mask: Tensor | None = None, **inputs: Tensor
    ) -> IreneOutput:
        """Inputs as in `IreneModel.forward`. `features` (B,·) are all of them side by side."""
        features = frozen_features(self.config, inputs)
        logits = linear_logits(self, features)
        losses = None if labels is None else per_sample_loss(logits.float(), labels, label_mask)
        side_by_side = torch.cat(list(features.values()), dim=1)
        return IreneOutput(
            loss=mean_loss(losses), losses=losses, logits=logits, features=side_by_side
        )

    def _init_weights(self, module: nn.Module) -> None:
        """All weights at zero: the loss is convex, and a patient of whom nothing is known has the
        bias alone."""
        if isinstance(module, nn.Linear):
            init.zeros_(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)


AutoConfig.register(ProbeConfig.model_type, ProbeConfig, exist_ok=True)
AutoModel.register(ProbeConfig, LinearProbe, exist_ok=True)
