from .attention import Streams, join_presence, mean_present
from .config import IreneConfig
from .embeddings import IreneEmbeddings
from .encoder import AttentionMaps, Blocks, JointBlock
from .linear_path import frozen_features, linear_heads, linear_logits, probe_columns
from .low_rank import adapt, adapters
from .model import DiagnosticModel, IreneModel, IreneOutput, mean_loss, per_sample_loss
from .presets import PRESETS
from .tokens import ClassToken, GroupedLinear, PositionTable

__all__ = [
    "PRESETS",
    "AttentionMaps",
    "Blocks",
    "ClassToken",
    "DiagnosticModel",
    "GroupedLinear",
    "IreneConfig",
    "IreneEmbeddings",
    "IreneModel",
    "IreneOutput",
    "JointBlock",
    "PositionTable",
    "Streams",
    "adapt",
    "adapters",
    "frozen_features",
    "join_presence",
    "linear_heads",
    "linear_logits",
    "mean_loss",
    "mean_present",
    "per_sample_loss",
    "probe_columns",
]
