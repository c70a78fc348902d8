from .accountants import Epsilons, Mechanism, epsilon, epsilons
from .calibration import evaluation_noise, noise_multiplier_for

__all__ = [
    "Epsilons",
    "Mechanism",
    "epsilon",
    "epsilons",
    "evaluation_noise",
    "noise_multiplier_for",
]
