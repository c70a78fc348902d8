"""IRENE: radiograph, text, laboratory values and demographics to the logits of K labels.

Architecture: Zhou et al., "A transformer-based representation-learning model with unified
processing of multimodal input for clinical diagnostics", Nature Biomedical Engineering 2023.
With every modality present this is the authors' mathematics; what is missing takes no part.
"""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedModel
from transformers import initialization as init
from transformers.utils import ModelOutput

from irene_model.network.attention import mean_present
from irene_model.network.checkpoints import authors_config, from_authors_state, to_authors_state
from irene_model.network.config import IreneConfig
from irene_model.network.embeddings import IreneEmbeddings
from irene_model.network.encoder import AttentionMaps, IreneEncoder
from irene_model.network.linear_path import LinearPath
from irene_model.network.low_rank import adapt, init_unbiased, merged_state
from irene_model.network.tokens import ClassToken, GroupedLinear, PositionTable

__all__ = ["IreneConfig", "IreneModel", "IreneOutput", "per_sample_loss"]

# All laboratory values share one projection, so a token says which value it is by its position
# alone, and the first norm rescales every token: a position much smaller than the value's part is
# lost. A position much larger makes all records alike: their gradients then share most of their
# norm, clipping keeps that shared part, and private training learns little.
_POSITION_STD = 0.3
_NUMBER_STD = 1.0


@dataclass
class IreneOutput(ModelOutput):  # type: ignore[misc]
    """What a forward pass gives.

    When labels were given, `losses` (B,) of each record, which depend on no other record, and
    their mean `loss` (). `logits` (B,K), `features` (B,D): the mean over present tokens,
    `attentions` when asked: one entry a block, first `BidirectionalMaps`, then (B,H,N,N).
    """

    loss: Tensor | None = None
    losses: Tensor | None = None
    logits: Tensor = None  # type: ignore[assignment]  # ModelOutput wants a default
    features: Tensor = None  # type: ignore[assignment]
    attentions: AttentionMaps | None = None


class DiagnosticModel(PreTrainedModel):  # type: ignore[misc]
    """What IRENE and every method that it is compared with share: heads and initial weights.

    Each takes the keywords of `IreneModel.forward` and gives an `IreneOutput`. All but the linear
    probe have `embeddings`.
    """

    embeddings: IreneEmbeddings

    config_class = IreneConfig
    main_input_name = "pixel_values"
    _supports_sdpa = True
    supports_gradient_checkpointing = True

    @property
    def heads(self) -> list[nn.Linear]:
        """The layers that give a label's logits; their names end in `head`."""
        return [module for name, module in self.named_modules() if name.endswith("head")]

    def merged(self) -> Self:
        """A plain model that computes the same, with the adapters merged into the weights."""
        config = copy.deepcopy(self.config)
        config.lora_rank = 0
        with torch.random.fork_rng(devices=[]):  # first weights are drawn in vain
            model = type(self)(config)
        model.load_state_dict(merged_state(self))
        model.train(self.training)
        return model

    def _init_weights(self, module: nn.Module) -> None:
        """Initial weights of one module; transformers calls it on each that was not loaded."""
        if isinstance(module, nn.Linear) and module.bias is None:
            init_unbiased(module)  # adapters, and the heads of a linear path
        elif isinstance(module, nn.Linear) and module.in_features == 1:
            init.normal_(module.weight, std=_NUMBER_STD)
            init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            init.xavier_uniform_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, nn.Conv2d):
            fan_in = module.in_channels * module.kernel_size[0] * module.kernel_size[1]
            init.normal_(module.weight, std=1 / math.sqrt(fan_in))
            init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=1.0)
        elif isinstance(module, GroupedLinear):
            init.normal_(module.weight, std=_NUMBER_STD / math.sqrt(module.weight.shape[1]))
        elif isinstance(module, PositionTable):
            init.normal_(module.table, std=_POSITION_STD)
        elif isinstance(module, ClassToken):
            init.normal_(module.token, std=0.02)


class IreneModel(DiagnosticModel):
    """IRENE at any size; see `IreneConfig` and `PRESETS`."""

    base_model_prefix = "irene"
    ignored_entries: tuple[str, ...] = ()  # what `from_authors` found and did not need

    def __init__(self, config: IreneConfig) -> None:
        super().__init__(config)
        self.embeddings = IreneEmbeddings(config)
        self.encoder = IreneEncoder(config)
        self.head = nn.Linear(config.hidden_size, config.num_labels)
        if config.linear_path:
            self.linear = LinearPath(config)
        if config.lora_rank:
            adapt(self, rank=config.lora_rank, alpha=config.lora_alpha)
        self.post_init()

    def forward(
        self,
        *,
        labels: Tensor | None = None,
        label_mask: Tensor | None = None,
        output_attentions: bool = False,
        **inputs: Tensor,
    ) -> IreneOutput:
        """Logits of a batch of B records.

        Inputs: `pixel_values` (B,C,H,W), or a frozen encoder's `image_embeddings` (B,1+N,F), of the
        whole image first; `text_embeddings` (B,T,E), or for a model with its own vocabulary
        `input_ids` (B,T), or (B,T,W) where up to W tokens share a place and -1 is none;
        `lab_values` (B,L); `age` (B,) in years / 100; `sex` (B,) 0 female, 1 male; `labels` (B,K)
        of 0 and 1. Masks are 1 or True where the value exists and default to everything:
        `image_mask` (B,), `text_mask` (B,T), `lab_mask` (B,L), `demographics_mask` (B,2) for age
        and sex, `label_mask` (B,K). Of a model with further panels `panel_values` and `panel_mask`
        (B,P) hold the values of all of them, side by side; of one with sounds `sound_values`
        (B,N,F) and `sound_mask` (B,N) hold the patches. Values behind a mask may be anything, NaN
        included. A wrong shape raises ValueError.
        """
        if self.config.linear_path and self.config.text_length and self.config.vocab_size:
            inputs = {**inputs, "text_embeddings": self.embeddings.word_vectors(inputs)}
        streams = self.embeddings(**inputs)
        tokens, present, maps = self.encoder(streams, with_maps=output_attentions)
        features = mean_present(tokens, present)
        logits = self.head(features)
        if self.config.linear_path:
            logits = logits + self.linear(inputs)
        losses = None if labels is None else per_sample_loss(logits.float(), labels, label_mask)
        return IreneOutput(
            loss=mean_loss(losses),
            losses=losses,
            logits=logits,
            features=features,
            attentions=maps if output_attentions else None,
        )

    def _init_weights(self, module: nn.Module) -> None:
        """Beside a linear path the head starts at zero, so that the model begins as that."""
        super()._init_weights(module)
        if module is self.head and self.config.linear_path:
            init.zeros_(module.weight)

    @classmethod
    def from_authors(
        cls,
        state_dict: Mapping[str, Tensor],
        *,
        image_size: int,
        patch_size: int,
        num_attention_heads: int,
    ) -> Self:
        """The authors' weights, in evaluation mode; other sizes are inferred from the shapes.

        Names may carry the prefix `module.`. A missing or unknown entry, or one of a wrong shape,
        raises CheckpointError naming it. The authors' `out_text` projections are never called;
        they are ignored, and the model's `ignored_entries` names them.
        """
        config = authors_config(
            state_dict,
            image_size=image_size,
            patch_size=patch_size,
            num_attention_heads=num_attention_heads,
        )
        model = cls(config)
        loaded, model.ignored_entries = from_authors_state(state_dict, config, model.state_dict())
        model.load_state_dict(loaded)
        model.eval()
        return model

    def to_authors(self) -> dict[str, Tensor]:
        """The weights under the authors' names, without the `out_text` that they never call.

        Adapters are merged into the weights that they correct.
        """
        return to_authors_state(merged_state(self), self.config)


def per_sample_loss(logits: Tensor, labels: Tensor, label_mask: Tensor | None = None) -> Tensor:
    """Binary cross-entropy of each record, (B,), averaged over its own valid labels.

    `logits`, `labels` and `label_mask` are (B,K). A record without a valid label has loss 0.
    Normalising per record keeps samples apart: a mean over the batch's valid labels would let one
    record change another's gradient, and break the sensitivity bound of per-sample clipping.
    """
    valid = torch.ones_like(labels, dtype=torch.bool) if label_mask is None else label_mask.bool()
    targets = torch.where(valid, labels, 0).to(logits.dtype)
    losses = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return torch.where(valid, losses, 0.0).sum(dim=1) / valid.sum(dim=1).clamp(min=1)


def mean_loss(losses: Tensor | None) -> Tensor | None:
    """The batch's loss () from its records' (B,): 0 for a Poisson batch that is empty."""
    return None if losses is None else losses.sum() / max(len(losses), 1)


AutoConfig.register(IreneConfig.model_type, IreneConfig, exist_ok=True)
AutoModel.register(IreneConfig, IreneModel, exist_ok=True)
