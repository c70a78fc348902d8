"""IRENE: one transformer over a radiograph, a complaint, laboratory values and demographics.

This package holds the model and everything that hospitals and the server must agree on. It knows
nothing of Flower. Names are loaded on first use, so that `import irene_model` stays light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from irene_model.inputs import Case, IreneProcessor
    from irene_model.methods import FusionModel
    from irene_model.network import IreneConfig, IreneModel
    from irene_model.study import Study

__version__ = "0.1.0"
__all__ = [
    "Case",
    "FusionModel",
    "IreneConfig",
    "IreneModel",
    "IreneProcessor",
    "Study",
    "__version__",
]

_HOMES = {
    "Case": "processor",
    "FusionModel": "methods",
    "IreneConfig": "model",
    "IreneModel": "model",
    "IreneProcessor": "processor",
    "Study": "study",
}


def __getattr__(name: str) -> Any:
    """Import the module that holds `name` when it is first asked for."""
    if name in _HOMES:
        return getattr(import_module(f"irene_model.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
