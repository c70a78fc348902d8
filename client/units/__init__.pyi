from .conversion import Line, UnitError, converter
from .substances import substance_of
from .usual import nearest, rivals

__all__ = ["Line", "UnitError", "converter", "nearest", "rivals", "substance_of"]
