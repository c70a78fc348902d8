from .methods import FusionModel
from .probe import LinearProbe
from .sizes import TOLERANCE, model_of, parameter_count, sized

__all__ = [
    "TOLERANCE",
    "FusionModel",
    "LinearProbe",
    "model_of",
    "parameter_count",
    "sized",
]
