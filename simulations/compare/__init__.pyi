from .arms import pool_patients, without_privacy
from .comparison_page import best_first, gains_by_way
from .comparison_run import Observer, compare
from .own_model import OwnModel, note_own_models, own_models
from .trial_grid import Trial, grid

__all__ = [
    "Observer",
    "OwnModel",
    "Trial",
    "best_first",
    "compare",
    "gains_by_way",
    "grid",
    "note_own_models",
    "own_models",
    "pool_patients",
    "without_privacy",
]
