from .evaluation import Evaluated, add_noise, evaluate, evaluate_privately, score
from .training import local_update, pack, pick_device, train_round

__all__ = [
    "Evaluated",
    "add_noise",
    "evaluate",
    "evaluate_privately",
    "local_update",
    "pack",
    "pick_device",
    "score",
    "train_round",
]
