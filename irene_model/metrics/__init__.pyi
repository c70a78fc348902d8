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
    macro_auroc,
    merge_bins,
    score_histograms,
)
from .patient_draws import Draws, Scored, counts_of, exact_aurocs, resampled, weighted_aurocs
from .selection import best_round, latest_of_the_best

__all__ = [
    "BINS",
    "CENTRES",
    "COARSE_BINS",
    "Array",
    "Draws",
    "Scored",
    "auprcs",
    "aurocs",
    "best_round",
    "bootstrap",
    "briers",
    "coarsen",
    "counts_of",
    "eces",
    "exact_aurocs",
    "latest_of_the_best",
    "log_losses",
    "macro_auroc",
    "merge_bins",
    "refine",
    "refined_centres",
    "resampled",
    "score_histograms",
    "weighted_aurocs",
]
