from .exposures import at_most, least_exposures
from .history import Reservation
from .ledger import Ledger

__all__ = [
    "Ledger",
    "Reservation",
    "at_most",
    "least_exposures",
]
