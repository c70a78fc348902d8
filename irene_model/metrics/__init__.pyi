from .coarse_bins import COARSE_BINS, coarsen, refine, refined_centres
from .metrics import (
    BINS,
    CENTRES,
    Array,
    auprcs,
    aurocs,
    bootstrap,
    briers,
    eces,
    log_losses,
    merge_bins,
    score_histograms,
)

__all__ = [
    "BINS",
    "CENTRES",
    "COARSE_BINS",
    "Array",
    "auprcs",
    "aurocs",
    "bootstrap",
    "briers",
    "coarsen",
    "eces",
    "log_losses",
    "merge_bins",
    "refine",
    "refined_centres",
    "score_histograms",
]
