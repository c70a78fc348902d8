from .pretraining import Progress, Recipe, pretrain
from .start_only import judge_start

__all__ = [
    "Progress",
    "Recipe",
    "judge_start",
    "pretrain",
]
