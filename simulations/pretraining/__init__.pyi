from .pretraining import pretrain
from .start_only import judge_start

__all__ = [
    "judge_start",
    "pretrain",
]
