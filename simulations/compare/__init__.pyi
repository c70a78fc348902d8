from .arms import Member, plan_at_one_place, pool_patients, train_at_one_place, without_privacy
from .cohorts import begin_folder, seed_cohort
from .comparison_run import Observer, compare
from .intervals import error_of, over_both
from .own_model import OwnModel, note_own_models, own_models
from .trial_grid import Trial, grid, study_of
from .workers import in_workers

__all__ = [
    "Member",
    "Observer",
    "OwnModel",
    "Trial",
    "begin_folder",
    "compare",
    "error_of",
    "grid",
    "in_workers",
    "note_own_models",
    "over_both",
    "own_models",
    "plan_at_one_place",
    "pool_patients",
    "seed_cohort",
    "study_of",
    "train_at_one_place",
    "without_privacy",
]
