from .evaluation_sum import evaluate_sum
from .membership import Membership
from .part import Part, judged
from .roster_view import show_roster
from .training_sum import train_sum

__all__ = [
    "Membership",
    "Part",
    "evaluate_sum",
    "judged",
    "show_roster",
    "train_sum",
]
