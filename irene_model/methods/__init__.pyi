from .methods import FusionModel
from .probe import LinearProbe, probe_columns
from .sizes import TOLERANCE, model_of, parameter_count, sized

__all__ = [
    "TOLERANCE",
    "FusionModel",
    "LinearProbe",
    "model_of",
    "parameter_count",
    "probe_columns",
    "sized",
]
