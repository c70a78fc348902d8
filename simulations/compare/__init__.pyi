from .arms import pool_patients, without_privacy
from .comparison_run import Observer, compare
from .own_model import OwnModel, note_own_models, own_models
from .trial_grid import Trial, grid

__all__ = [
    "Observer",
    "OwnModel",
    "Trial",
    "compare",
    "grid",
    "note_own_models",
    "own_models",
    "pool_patients",
    "without_privacy",
]
