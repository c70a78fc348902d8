from .answer_bounds import check_evaluation
from .enrolled_nodes import RegisterFile
from .exchange import Exchange
from .looks import Looks
from .round_loop import Observer, RoundLoop

__all__ = [
    "Exchange",
    "Looks",
    "Observer",
    "RegisterFile",
    "RoundLoop",
    "check_evaluation",
]
