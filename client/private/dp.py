"""Per-patient clipping and noise: the private gradient of one logical step.

Each sampled patient contributes one record, so a per-sample gradient is a per-patient gradient.
An engine clips it to L2 norm C and sums; here the sums of the micro-batches of one logical batch
are added up, noised once with standard deviation σC (Abadi et al. 2016, Alg. 1), and divided by
the *expected* batch size, which is public, never by the actual one.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from client.private.clipping import ClippedSum, Sums, trained_parameters
from client.private.fused import FusedSum
from client.private.noise import NoiseSource, add_lattice_noise
from client.private.opacus_engines import HookSum
from irene_model.inputs import Batch
from irene_model.study import Engine

NewEngine = Callable[..., ClippedSum]
_ENGINES: dict[Engine, NewEngine] = {"fused": FusedSum, "opacus": HookSum}


class PrivateGradient:
    """Accumulates clipped per-patient gradients of one model and releases their noised mean."""

    def __init__(
        self, model: nn.Module, *, clip_norm: float, engine: Engine | NewEngine = "fused"
    ) -> None:
        """`clip_norm` is C, the L2 sensitivity of a sum to one patient.

        The parameters that are trained now are the ones that are released. An `engine` that is no
        study's is for benchmarks.
        """
        self._clip_norm = clip_norm
        self._parameters = trained_parameters(model)
        build = _ENGINES[engine] if isinstance(engine, str) else engine
        self._build = partial(build, model, clip_norm=clip_norm)
        self._engine = self._build()
        self._sums: Sums = {}

    @property
    def sums(self) -> Sums:
        """The running clipped sums, without noise, for other devices to add theirs in place."""
        return self._started()

    def accumulate(self, batch: Batch) -> None:
        """Add the clipped gradients of `batch`, one row for each patient.

        A row with a non-finite gradient adds nothing: its norm can't be bounded otherwise.
        """
        self._engine.add(batch, self._started())

    def begin_again(self) -> None:
        """Forget the step's sums; after an error also what the engine had begun."""
        self._engine.close()
        self._engine = self._build()
        self._sums = {}

    def release(self, *, noise_multiplier: float, expected_batch: float, rng: NoiseSource) -> None:
        """Write the noised mean into each parameter's `.grad` and start the next step.

        An empty logical batch is legal and is pure noise: to leave it out would tell that it
        was empty.
        """
        deviation = noise_multiplier * self._clip_norm
        for parameter, total in self._started().items():
            add_lattice_noise(total, deviation=deviation, source=rng)
            parameter.grad = total.div_(expected_batch).to(parameter.dtype)
        self._sums = {}  # the sums are gradients now; the next ones begin when they are needed

    def take_sums(self) -> Sums:
        """The step's clipped sums without noise, and start the next step.

        They are not private: for a secure sum, which adds noise before anything leaves
        (`client.secure`), and for another device's process, which adds them to its own
        (`client.devices`). They are never to be returned, logged or kept.
        """
        sums, self._sums = self._started(), {}
        return sums

    def close(self) -> None:
        """Leave the model as it was before."""
        self._engine.close()

    def _started(self) -> Sums:
        if not self._sums:
            self._sums = {
                p: torch.zeros(p.shape, dtype=torch.float32, device=p.device)
                for p in self._parameters
            }
        return self._sums
