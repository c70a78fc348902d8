from .accountants import Epsilons, Mechanism, epsilon, epsilons
from .calibration import evaluation_noise, noise_multiplier_for
from .hope import LITTLE, Share, doubt, signal_to_noise
from .noise import Noise, noise_of
from .shared_noise import joint_noise, share_of

__all__ = [
    "LITTLE",
    "Epsilons",
    "Mechanism",
    "Noise",
    "Share",
    "doubt",
    "epsilon",
    "epsilons",
    "evaluation_noise",
    "joint_noise",
    "noise_multiplier_for",
    "noise_of",
    "share_of",
    "signal_to_noise",
]
