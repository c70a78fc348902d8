from .arms import best_round, exact_histograms, macro_auroc, pool_patients, without_privacy
from .comparison_page import best_first
from .comparison_run import compare
from .trial_grid import Trial, grid

__all__ = [
    "Trial",
    "best_first",
    "best_round",
    "compare",
    "exact_histograms",
    "grid",
    "macro_auroc",
    "pool_patients",
    "without_privacy",
]
