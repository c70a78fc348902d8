from .clock import Reading, coordinators_time, keep, kept
from .clock_probe import read_clock
from .flower_clock import keep_time
from .proxy import NONE, checked, shown, way_out

__all__ = [
    "NONE",
    "Reading",
    "checked",
    "coordinators_time",
    "keep",
    "keep_time",
    "kept",
    "read_clock",
    "shown",
    "way_out",
]
