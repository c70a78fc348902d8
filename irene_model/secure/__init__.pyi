from .discrete import discrete_gaussian
from .grid import Grid, grid_of_evaluation, grid_of_training
from .keystream import Keystream
from .masks import Attempt, MaskKey, mask
from .sums import add, empty
from .vector import dimensions, flatten

__all__ = [
    "Attempt",
    "Grid",
    "Keystream",
    "MaskKey",
    "add",
    "dimensions",
    "discrete_gaussian",
    "empty",
    "flatten",
    "grid_of_evaluation",
    "grid_of_training",
    "mask",
]
