"""The methods that IRENE is compared with, and the model that holds one of them.

Legend: B records, N tokens, D width, M modalities, K labels. The kinds of fusion are those of Huang
et al. 2020, "Fusion of medical imaging and electronic health records using deep learning": early
(of data, or of features that are learned apart), joint (of features that are learned together) and
late (of decisions). Each method is a module from `Streams` to `Fused`; `sizes` beside this file
chooses its depth, in ordinary transformer blocks, and its MLPs' width.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel
from transformers import initialization as init

from irene_model.methods import decisions
from irene_model.methods.feature_fusion import EarlyFeature, Hierarchical, JointFeature
from irene_model.methods.fusion import (
    FeatureClassifier,
    Fused,
    FusionConfig,
    ModalityEncoders,
    Stack,
    joined,
    judged_once,
    modality_heads,
)
from irene_model.network import (
    DiagnosticModel,
    IreneEmbeddings,
    IreneOutput,
    JointBlock,
    PositionTable,
    Streams,
    adapt,
    mean_loss,
    mean_present,
)


class EarlyData(nn.Module):
    """Early fusion of data: the clinical data joins every patch as if it were further channels.

    One linear map of all clinical tokens side by side, in two steps to keep it small, is added to
    each image token; then everything is one image to one transformer. Without an image the class
    token alone carries the clinical data.
    """

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        width = config.hidden_size
        narrow = max(1, width // 4)
        self.squeeze = nn.Linear(width, narrow)
        self.channels = nn.Linear(config.num_clinical_tokens * narrow, width)
        self.stack = Stack(config, config.num_hidden_layers)
        self.head = nn.Linear(width, config.num_labels)

    def forward(self, streams: Streams) -> Fused:
        """Both streams to logits."""
        image, clinical, seen, known = streams
        narrow = self.squeeze(clinical)
        if known is not None:
            narrow = torch.where(known[..., None], narrow, 0.0)
        present = joined(streams)[1]
        if seen is not None and present is not None:
            seen = torch.cat([present.any(dim=1, keepdim=True), seen[:, 1:]], dim=1)
        tokens = self.stack(image + self.channels(narrow.flatten(1))[:, None], seen)
        features = mean_present(tokens, seen)
        return judged_once(self.head(features), features)


Decide = Callable[[Tensor, Tensor, float], Tensor]


class Late(nn.Module):
    """Late fusion: a classifier for each modality, trained on its own, and a rule over them.

    `hybrid` adds one more: its first level fuses the features of all modalities, its second the
    decisions of all classifiers. Without a `decide` the rule is learned (stacking, Wolpert 1992):
    logistic regression on all classifiers' evidence, here learned beside them and on the same
    records, which it begins by averaging.
    """

    def __init__(
        self, config: FusionConfig, decide: Decide | None, *, hybrid: bool = False
    ) -> None:
        super().__init__()
        self.decide = decide
        self.prior = math.log(config.prior / (1 - config.prior))
        self.encoders = ModalityEncoders(config)
        self.heads = modality_heads(config)
        modalities, width = len(self.heads), config.hidden_size
        self.joint = FeatureClassifier(config, modalities * width) if hybrid else None
        if decide is None:
            self.stacking_head = nn.Linear(modalities * config.num_labels, config.num_labels)

    def forward(self, streams: Streams) -> Fused:
        """Both streams to logits; the loss is the sum of all classifiers' own."""
        features, available = self.encoders(streams)
        said = [head(features[:, i]) for i, head in enumerate(self.heads.values())]
        if self.joint is not None:
            said.append(self.joint(features.flatten(1))[0])
            available = torch.cat([available, available.any(dim=1, keepdim=True)], dim=1)
        judged = tuple(zip(said, available.unbind(dim=1), strict=True))
        logits = torch.stack(said, dim=1).float()
        if self.decide is not None:
            return Fused(self.decide(logits, available, self.prior), features.flatten(1), judged)
        evidence = decisions.evidence(logits.detach(), available, self.prior)
        stacked = self.stacking_head(evidence.flatten(1))
        return Fused(stacked, features.flatten(1), (*judged, (stacked, None)))


class Perceiver(nn.Module):
    """A few learned latents read all tokens twice and think in between.

    Jaegle et al. 2021, "Perceiver: general perception with iterative attention".
    """

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        depth = config.num_hidden_layers
        reads = min(2, depth)
        thinks = [(depth - reads + i) // reads for i in range(reads)]
        self.latents = PositionTable(config.num_latents, config.hidden_size)
        self.token_norms = nn.ModuleList(
            nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps) for _ in range(reads)
        )
        self.reads = nn.ModuleList(JointBlock(config) for _ in range(reads))
        self.thinks = nn.ModuleList(Stack(config, blocks) for blocks in thinks)
        self.head = nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, streams: Streams) -> Fused:
        """Both streams to logits."""
        tokens, present = joined(streams)
        # A table of positions of nothing: per-sample gradients know that layer.
        latents = self.latents(tokens.new_zeros(len(tokens), *self.latents.table.shape))
        for norm, read, think in zip(self.token_norms, self.reads, self.thinks, strict=True):
            latents, _ = read(latents, present, with_map=False, others=norm(tokens))
            latents = think(latents, None)
        features = latents.mean(dim=1)
        return judged_once(self.head(features), features)


class Git(nn.Module):
    """A generative image-to-text transformer that answers with labels.

    Wang et al. 2022, "GIT": an image encoder, then a decoder over image and clinical tokens, whose
    image tokens see each other and whose clinical tokens see the image and those before them.
    """

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        encoder = config.num_hidden_layers // 2
        self.encoder = Stack(config, encoder)
        self.decoder = Stack(config, config.num_hidden_layers - encoder)
        self.head = nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, streams: Streams) -> Fused:
        """Both streams to logits."""
        image = self.encoder(streams.image, streams.image_present)
        tokens, present = joined(streams._replace(image=image))
        place = torch.arange(tokens.shape[1], device=tokens.device)
        visible = (place <= place[:, None]) | (place < image.shape[1])  # (queries, keys)
        keys = visible[None] if present is None else visible & present[:, None]
        features = mean_present(self.decoder(tokens, keys), present)
        return judged_once(self.head(features), features)


FUSIONS: dict[str, Callable[[FusionConfig], nn.Module]] = {
    "early_feature": EarlyFeature,
    "early_feature_pca": lambda config: EarlyFeature(config, pca=True),
    "early_data": EarlyData,
    "joint_feature": JointFeature,
    "late_mean": lambda config: Late(config, decisions.mean),
    "late_max": lambda config: Late(config, decisions.maximum),
    "late_product": lambda config: Late(config, decisions.product),
    "late_rules": lambda config: Late(config, decisions.majority),
    "late_stacker": lambda config: Late(config, None),
    "hybrid": lambda config: Late(config, decisions.mean, hybrid=True),
    "hierarchical": Hierarchical,
    "perceiver": Perceiver,
    "git": Git,
}


class FusionModel(DiagnosticModel):
    """One of `FUSIONS`, as `config.fusion` says."""

    config_class = FusionConfig
    base_model_prefix = "irene_fusion"

    def __init__(self, config: FusionConfig) -> None:
        if config.fusion not in FUSIONS:
            raise ValueError(f"fusion must be one of {', '.join(FUSIONS)}")
        super().__init__(config)
        self.embeddings = IreneEmbeddings(config)
        self.fusion = FUSIONS[config.fusion](config)
        if config.lora_rank:
            adapt(self, rank=config.lora_rank, alpha=config.lora_alpha)
        self.post_init()

    def forward(
        self, *, labels: Tensor | None = None, label_mask: Tensor | None = None, **inputs: Tensor
    ) -> IreneOutput:
        """Inputs as in `IreneModel.forward`. `features` are (B,F) with F as the method has it."""
        fused: Fused = self.fusion(self.embeddings(**inputs))
        losses = None if labels is None else fused.losses(labels, label_mask)
        return IreneOutput(
            loss=mean_loss(losses), losses=losses, logits=fused.logits, features=fused.features
        )

    def _init_weights(self, module: nn.Module) -> None:
        """As IRENE's, but for a stacker, which begins as the mean of all evidence."""
        super()._init_weights(module)
        if module is getattr(self.fusion, "stacking_head", None):
            labels = module.out_features
            modalities = module.in_features // labels
            init.copy_(module.weight, torch.eye(labels).repeat(1, modalities) / modalities)


AutoConfig.register(FusionConfig.model_type, FusionConfig, exist_ok=True)
AutoModel.register(FusionConfig, FusionModel, exist_ok=True)
