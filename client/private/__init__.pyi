from .clipping import forward_losses, trained_parameters
from .dp import PrivateGradient
from .noise import KeystreamNoise, NoiseSource, add_lattice_noise
from .randomness import Randomness, noise_of_evaluation

__all__ = [
    "KeystreamNoise",
    "NoiseSource",
    "PrivateGradient",
    "Randomness",
    "add_lattice_noise",
    "forward_losses",
    "noise_of_evaluation",
    "trained_parameters",
]
