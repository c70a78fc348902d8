from .look import Films, look_at_films
from .twins import TWINS_MEND, Twins, count_twins, doubt_across_patients, doubt_across_splits

__all__ = [
    "TWINS_MEND",
    "Films",
    "Twins",
    "count_twins",
    "doubt_across_patients",
    "doubt_across_splits",
    "look_at_films",
]
