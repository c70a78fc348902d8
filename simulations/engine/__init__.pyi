from .clients import answer_as
from .cluster import check_address
from .engine import run_engine

__all__ = ["answer_as", "check_address", "run_engine"]
