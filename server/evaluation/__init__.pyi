from .evaluation import Evaluation, pool, pool_sum
from .histograms import SiteHistograms

__all__ = [
    "Evaluation",
    "SiteHistograms",
    "pool",
    "pool_sum",
]
