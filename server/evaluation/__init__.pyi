from .evaluation import Evaluation, pool
from .histograms import SiteHistograms

__all__ = [
    "Evaluation",
    "SiteHistograms",
    "pool",
]
