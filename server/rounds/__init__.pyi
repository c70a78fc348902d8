from .answer_bounds import check_evaluation
from .declared import Declared
from .enrolled_nodes import RegisterFile
from .exchange import Exchange
from .round_loop import Observer, RoundLoop

__all__ = [
    "Declared",
    "Exchange",
    "Observer",
    "RegisterFile",
    "RoundLoop",
    "check_evaluation",
]
