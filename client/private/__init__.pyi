from .clipping import Clip, Sums, forward_losses, trained_parameters
from .contributions import Contribution, Factors, PerPatient, Rows
from .dp import NewEngine, PrivateGradient
from .fused import FusedSum
from .noise import KeystreamNoise, NoiseSource, add_lattice_noise
from .opacus_engines import HookSum, first_layers_may_lack_input_gradients
from .randomness import Randomness, noise_of_evaluation

__all__ = [
    "Clip",
    "Contribution",
    "Factors",
    "FusedSum",
    "HookSum",
    "KeystreamNoise",
    "NewEngine",
    "NoiseSource",
    "PerPatient",
    "PrivateGradient",
    "Randomness",
    "Rows",
    "Sums",
    "add_lattice_noise",
    "first_layers_may_lack_input_gradients",
    "forward_losses",
    "noise_of_evaluation",
    "trained_parameters",
]
