from .accountants import Epsilons, Mechanism, epsilon, epsilons
from .calibration import evaluation_noise, noise_multiplier_for
from .hope import Share, doubt, signal_to_noise

__all__ = [
    "Epsilons",
    "Mechanism",
    "Share",
    "doubt",
    "epsilon",
    "epsilons",
    "evaluation_noise",
    "noise_multiplier_for",
    "signal_to_noise",
]
