from .choice import autocast, pick_device, to_device
from .draws import draw_step
from .plain_gradient import PlainGradient
from .team import ALONE, Team, sharing
from .workers import end_workers

__all__ = [
    "ALONE",
    "PlainGradient",
    "Team",
    "autocast",
    "draw_step",
    "end_workers",
    "pick_device",
    "sharing",
    "to_device",
]
