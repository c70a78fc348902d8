from .evaluation import Evaluated, add_noise, evaluate, evaluate_privately, score
from .releases import Releases
from .training import local_update, pick_device, train_round

__all__ = [
    "Evaluated",
    "Releases",
    "add_noise",
    "evaluate",
    "evaluate_privately",
    "local_update",
    "pick_device",
    "score",
    "train_round",
]
