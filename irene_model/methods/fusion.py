"""Parts of the methods that IRENE is compared with, on its own embeddings and blocks.

Legend: B records, N tokens, D width, M modalities, K labels. Three modalities are told apart: the
image, the text, and the numbers (laboratory values, sex and age). As in IRENE what is missing takes
no part: a modality's feature is the mean of its present tokens, and zero where there is none.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from irene_model.network import (
    Blocks,
    IreneConfig,
    JointBlock,
    Streams,
    join_presence,
    mean_present,
    per_sample_loss,
)


class FusionConfig(IreneConfig):
    """Sizes of a `FusionModel`, and which method of `irene_model.methods.methods.FUSIONS` it is.

    `num_hidden_layers` is the depth over all modalities together. `prior` is the share of positives
    that one expects of a label; `num_latents` are the Perceiver's.
    """

    model_type = "irene_fusion"

    def __init__(
        self, *, fusion: str = "late_mean", prior: float = 0.1, num_latents: int = 32, **kwargs: Any
    ) -> None:
        if not 0 < prior < 1:
            raise ValueError(f"prior must be between 0 and 1, not {prior}")
        if num_latents < 1:
            raise ValueError(f"num_latents must be at least 1, not {num_latents}")
        self.fusion = fusion
        self.prior = prior
        self.num_latents = num_latents
        super().__init__(**{"num_bidirectional_layers": 0, **kwargs})


class Fused(NamedTuple):
    """What a method makes of a batch.

    `logits` (B,K) decide. The loss is the sum over `judged`, each logits (B,K) and whose records
    (B,) they are judged for (None: all), and of `penalty` (B,), which needs no label.
    """

    logits: Tensor
    features: Tensor
    judged: tuple[tuple[Tensor, Tensor | None], ...]
    penalty: Tensor | None = None

    def losses(self, labels: Tensor, label_mask: Tensor | None) -> Tensor:
        """Each record's loss (B,), which depends on no other record."""
        total = torch.zeros_like(labels[:, 0], dtype=torch.float32)
        for logits, present in self.judged:
            losses = per_sample_loss(logits.float(), labels, label_mask)
            total = total + (losses if present is None else torch.where(present, losses, 0.0))
        return total if self.penalty is None else total + self.penalty


def judged_once(logits: Tensor, features: Tensor, penalty: Tensor | None = None) -> Fused:
    """A method whose loss is that of its decision, and of what else it may learn."""
    return Fused(logits, features, ((logits, None),), penalty)


class Stack(Blocks):
    """`depth` ordinary blocks and a norm."""

    def __init__(self, config: FusionConfig, depth: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(JointBlock(config) for _ in range(depth))
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, tokens: Tensor, present: Tensor | None) -> Tensor:
        """Tokens (B,N,D) to (B,N,D); `present` as in `attend`."""
        for block in self.blocks:
            tokens, _ = self.run(block, tokens, present, with_map=False)
        normed: Tensor = self.norm(tokens)
        return normed


class ModalityEncoders(nn.Module):
    """A stack for each modality: the image gets the larger part of the depth."""

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        self.config = config
        names, depth = config.modalities, config.num_hidden_layers
        clinical = max(1, depth // 4)
        depths = dict.fromkeys(names, clinical)
        depths[names[0]] = max(1, depth - clinical * (len(names) - 1))
        self.stacks = nn.ModuleDict({name: Stack(config, depths[name]) for name in names})

    def forward(self, streams: Streams) -> tuple[Tensor, Tensor]:
        """Both streams to features (B,M,D), and whether there are any (B,M)."""
        image, clinical, seen, known = streams
        groups, start = {"image": (image, seen)}, 0
        for name, count in self.config.clinical_tokens.items():
            part = slice(start, start := start + count)
            groups[name] = (clinical[:, part], None if known is None else known[:, part])
        features, available = [], []
        for name, stack in self.stacks.items():
            tokens, present = groups[name]
            features.append(mean_present(stack(tokens, present), present))
            everyone = tokens.new_ones(len(tokens), dtype=torch.bool)
            available.append(everyone if present is None else present.any(dim=1))
        return torch.stack(features, dim=1), torch.stack(available, dim=1)


def modality_heads(config: FusionConfig) -> nn.ModuleDict:
    """For each modality a head of its own, from its feature to logits."""
    return nn.ModuleDict(
        {
            f"{name}_head": nn.Linear(config.hidden_size, config.num_labels)
            for name in config.modalities
        }
    )


class PrincipalComponents(nn.Module):
    """The principal subspace of features, learned one record at a time.

    A linear autoencoder's best code spans the leading principal components of what it is shown
    (Baldi & Hornik 1989). Its squared error is a sum over records, so it is learned by the same
    clipped, noised gradients as all else and follows the features as these change; a PCA by
    eigenvectors would need all patients' features in one place.
    """

    def __init__(self, width: int, components: int) -> None:
        super().__init__()
        self.encode = nn.Linear(width, components)
        self.decode = nn.Linear(components, width)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B,F), detached, to their components (B,C) and each record's error (B,).

        The error alone teaches the components: what is learned from them does not.
        """
        error = (self.decode(self.encode(features)).float() - features).square().mean(dim=1)
        weight, bias = self.encode.weight.detach(), self.encode.bias.detach()
        return F.linear(features, weight, bias), error


class FeatureClassifier(nn.Module):
    """Features of all modalities side by side, through one hidden layer."""

    def __init__(self, config: FusionConfig, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, config.hidden_size)
        self.head = nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B,F) to logits (B,K) and what they were read from (B,D)."""
        hidden = F.gelu(self.hidden(features))
        return self.head(hidden), hidden


def joined(streams: Streams) -> tuple[Tensor, Tensor | None]:
    """All tokens (B,N,D), image first, and their presence."""
    tokens = [streams.image, streams.clinical]
    present = join_presence([streams.image_present, streams.clinical_present], tokens)
    return torch.cat(tokens, dim=1), present
