from .missing_run import run_protocol
from .protocol import Protocol

__all__ = [
    "Protocol",
    "run_protocol",
]
