from .evaluation import (
    Evaluated,
    Scores,
    add_noise,
    evaluate,
    evaluate_privately,
    probabilities,
    score,
)
from .exact import exact_histograms, score_tests
from .one_step import clipped_sum
from .releases import Releases
from .training import local_update, pack, train_round, unpack

__all__ = [
    "Evaluated",
    "Releases",
    "Scores",
    "add_noise",
    "clipped_sum",
    "evaluate",
    "evaluate_privately",
    "exact_histograms",
    "local_update",
    "pack",
    "probabilities",
    "score",
    "score_tests",
    "train_round",
    "unpack",
]
