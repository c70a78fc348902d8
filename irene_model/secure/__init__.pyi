from .grid import Grid, grid_of_training
from .keystream import Keystream
from .masks import Attempt, MaskKey, mask
from .sums import add, empty

__all__ = [
    "Attempt",
    "Grid",
    "Keystream",
    "MaskKey",
    "add",
    "empty",
    "grid_of_training",
    "mask",
]
