from .methods import FusionModel
from .sizes import TOLERANCE, model_of, parameter_count, sized

__all__ = [
    "TOLERANCE",
    "FusionModel",
    "model_of",
    "parameter_count",
    "sized",
]
