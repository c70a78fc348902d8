from .accounts import Accounts
from .attempts import ABORTED, REFUSED, SUMMED, Attempts
from .benched import Benched
from .masked_sum import MaskedSum
from .shared_accounting import TRAIN, noise_among, planned_share, secure_of
from .sum_bounds import check_gradients, check_histograms

__all__ = [
    "ABORTED",
    "REFUSED",
    "SUMMED",
    "TRAIN",
    "Accounts",
    "Attempts",
    "Benched",
    "MaskedSum",
    "check_gradients",
    "check_histograms",
    "noise_among",
    "planned_share",
    "secure_of",
]
