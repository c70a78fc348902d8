from .acceptance import accept_loss, find_loss
from .exposures import Exposures, at_most, least_exposures
from .history import History, Reservation
from .judging import NO_BUDGET_ALONE
from .ledger import Ledger
from .loss import Loss
from .witnesses import check_coordinator, contradictions

__all__ = [
    "NO_BUDGET_ALONE",
    "Exposures",
    "History",
    "Ledger",
    "Loss",
    "Reservation",
    "accept_loss",
    "at_most",
    "check_coordinator",
    "contradictions",
    "find_loss",
    "least_exposures",
]
