from .inputs import Case, IreneProcessor
from .methods import FusionModel, LinearProbe
from .network import IreneConfig, IreneModel
from .study import Study

__version__: str
__all__ = [
    "Case",
    "FusionModel",
    "IreneConfig",
    "IreneModel",
    "IreneProcessor",
    "LinearProbe",
    "Study",
]
