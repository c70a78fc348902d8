from .pretraining import Recipe, pretrain
from .start_only import judge_start

__all__ = [
    "Recipe",
    "judge_start",
    "pretrain",
]
