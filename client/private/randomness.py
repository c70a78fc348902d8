"""Where a round's randomness comes from: the operating system, except in simulations."""

from dataclasses import dataclass

import numpy as np

from client.private.noise import KeystreamNoise
from irene_model.study import HeldOut


@dataclass(frozen=True, kw_only=True)
class Randomness:
    """Generators of one round: who is sampled, the noise, and which units drop out.

    They are never the same stream. Only the noise is seen outside, as part of an update: it comes
    from a cipher.
    """

    sampling: np.random.Generator
    noise: KeystreamNoise
    dropout: np.random.Generator

    @classmethod
    def of_the_operating_system(cls) -> "Randomness":
        """Fresh bits for each, 256 for the noise; the only kind at a real site."""
        return cls(
            sampling=np.random.default_rng(),
            noise=KeystreamNoise.of_the_operating_system(),
            dropout=np.random.default_rng(),
        )

    @classmethod
    def reproducible(cls, *, seed: int, site: str, round: int, attempt: int = 0) -> "Randomness":
        """For simulations: a stream of its own for every seed, site, round and attempt.

        attempt: that of a secure sum, from 1; 0 without.
        """
        tried = (attempt,) if attempt else ()
        # No name has a zero byte, so that it parts the name from what comes after it.
        entropy = [seed, round, *site.encode(), *(0 for _ in tried), *tried]
        sampling, dropout = map(np.random.default_rng, np.random.SeedSequence(entropy).spawn(2))
        noise = KeystreamNoise.reproducible("training", seed, site, round, *tried)
        return cls(sampling=sampling, noise=noise, dropout=dropout)

    @classmethod
    def of_round(cls, *, seed: int | None, site: str, round: int, attempt: int = 0) -> "Randomness":
        """`reproducible` by a simulation's seed; without one, of the operating system."""
        if seed is None:
            return cls.of_the_operating_system()
        return cls.reproducible(seed=seed, site=site, round=round, attempt=attempt)


def noise_of_evaluation(
    *, seed: int | None, site: str, round: int, split: HeldOut
) -> KeystreamNoise:
    """The noise of one evaluation; without a seed, fresh bits from the operating system."""
    if seed is None:
        return KeystreamNoise.of_the_operating_system()
    return KeystreamNoise.reproducible("evaluation", seed, site, round, split)
