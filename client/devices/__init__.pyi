from .choice import autocast, pick_device, to_device
from .draws import draw_step
from .plain_gradient import PlainGradient
from .team import ALONE, Team, sharing

__all__ = [
    "ALONE",
    "PlainGradient",
    "Team",
    "autocast",
    "draw_step",
    "pick_device",
    "sharing",
    "to_device",
]
