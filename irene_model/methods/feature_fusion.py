"""Fusion of features: each modality has an encoder, and what these find is put together.

Legend: B records, M modalities, D width, K labels. Huang et al. 2020 call it early fusion where the
encoders learn apart, and joint fusion where the loss of the whole reaches them.
"""

import torch
import torch.nn.functional as F
from torch import nn

from irene_model.methods.fusion import (
    FeatureClassifier,
    Fused,
    FusionConfig,
    ModalityEncoders,
    PrincipalComponents,
    judged_once,
    modality_heads,
)
from irene_model.network import Streams


class JointFeature(nn.Module):
    """Joint fusion: a classifier reads the features of all encoders and teaches them too."""

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        self.encoders = ModalityEncoders(config)
        self.classifier = FeatureClassifier(config, len(config.modalities) * config.hidden_size)

    def forward(self, streams: Streams) -> Fused:
        """Both streams to logits."""
        return judged_once(*self.classifier(self.encoders(streams)[0].flatten(1)))


class EarlyFeature(nn.Module):
    """Early fusion of features: a classifier reads what encoders of one modality each have found.

    Each encoder learns from a head of its own. The classifier teaches it nothing, which is what
    parts early fusion from joint fusion: features can't adapt to each other.
    """

    def __init__(self, config: FusionConfig, *, pca: bool = False) -> None:
        super().__init__()
        width = len(config.modalities) * config.hidden_size
        components = max(1, config.hidden_size // 2)
        self.encoders = ModalityEncoders(config)
        self.heads = modality_heads(config)
        self.pca = PrincipalComponents(width, components) if pca else None
        self.classifier = FeatureClassifier(config, components if pca else width)

    def forward(self, streams: Streams) -> Fused:
        """Both streams to logits; the loss is the sum of the heads' own and the classifier's."""
        features, available = self.encoders(streams)
        said = [head(features[:, i]) for i, head in enumerate(self.heads.values())]
        fixed, error = features.detach().flatten(1), None
        if self.pca is not None:
            fixed, error = self.pca(fixed)
        logits, hidden = self.classifier(fixed)
        alone = zip(said, available.unbind(dim=1), strict=True)
        return Fused(logits, hidden, (*alone, (logits, None)), error)


class Hierarchical(nn.Module):
    """Step by step: the numbers first, then the text, then the image."""

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.encoders = ModalityEncoders(config)
        steps = len(config.modalities) - 1
        self.steps = nn.ModuleList(nn.Linear(2 * width, width) for _ in range(steps))
        self.head = nn.Linear(width, config.num_labels)

    def forward(self, streams: Streams) -> Fused:
        """Both streams to logits."""
        *others, fused = self.encoders(streams)[0].unbind(dim=1)
        for step, feature in zip(self.steps, reversed(others), strict=True):
            fused = F.gelu(step(torch.cat([fused, feature], dim=1)))
        return judged_once(self.head(fused), fused)
