from .comparison_page import best_first
from .comparison_run import compare
from .trial_grid import Trial, grid

__all__ = [
    "Trial",
    "best_first",
    "compare",
    "grid",
]
