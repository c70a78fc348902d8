from .channel import answers
from .handover import OldCode, TrainerLost, hand_over, patience_s
from .installation import installed
from .parcels import Parcel
from .program import NAME, command

__all__ = [
    "NAME",
    "OldCode",
    "Parcel",
    "TrainerLost",
    "answers",
    "command",
    "hand_over",
    "installed",
    "patience_s",
]
