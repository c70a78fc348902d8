from .declared import Declared
from .judging import Judge, facts
from .strategies import FedAdam, strategy_for
from .tally import Tally, WeightedMean, norm, tally_for

__all__ = [
    "Declared",
    "FedAdam",
    "Judge",
    "Tally",
    "WeightedMean",
    "facts",
    "norm",
    "strategy_for",
    "tally_for",
]
