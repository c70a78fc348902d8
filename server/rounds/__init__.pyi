from .answer_bounds import check_evaluation
from .enrolled_nodes import RegisterFile
from .exchange import Exchange
from .round_loop import Observer, RoundLoop

__all__ = [
    "Exchange",
    "Observer",
    "RegisterFile",
    "RoundLoop",
    "check_evaluation",
]
