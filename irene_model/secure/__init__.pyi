from .grid import Grid, grid_of_evaluation, grid_of_training
from .keystream import Keystream
from .masks import Attempt, MaskKey, mask
from .shares import sample_rate, share_of_evaluation, share_of_training
from .sums import add, check_masked, empty
from .vector import dimensions, flatten, unflatten

__all__ = [
    "Attempt",
    "Grid",
    "Keystream",
    "MaskKey",
    "add",
    "check_masked",
    "dimensions",
    "empty",
    "flatten",
    "grid_of_evaluation",
    "grid_of_training",
    "mask",
    "sample_rate",
    "share_of_evaluation",
    "share_of_training",
    "unflatten",
]
