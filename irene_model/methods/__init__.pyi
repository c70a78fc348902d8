from .methods import FusionModel
from .sizes import model_of, parameter_count, sized

__all__ = [
    "FusionModel",
    "model_of",
    "parameter_count",
    "sized",
]
