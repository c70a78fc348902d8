from .epochs import Recipe, train_in_epochs
from .fine_tuning import AT_HOME, fine_tune, fitted_alone, fitted_at_home
from .gain_view import EpochProgress, show_gain
from .teaching import without_linear_path
from .unfinished import Unfinished, begin, finish

__all__ = [
    "AT_HOME",
    "EpochProgress",
    "Recipe",
    "Unfinished",
    "begin",
    "fine_tune",
    "finish",
    "fitted_alone",
    "fitted_at_home",
    "show_gain",
    "train_in_epochs",
    "without_linear_path",
]
