"""Where a round's randomness comes from: the operating system, except in simulations."""

from dataclasses import dataclass

import numpy as np

from irene_model.records import SPLITS, HeldOut


@dataclass(frozen=True, kw_only=True)
class Randomness:
    """Generators of one round: who is sampled, the noise, and which units drop out.

    They are never the same stream.
    """

    sampling: np.random.Generator
    noise: np.random.Generator
    dropout: np.random.Generator

    @classmethod
    def of_the_operating_system(cls) -> "Randomness":
        """128 fresh bits from the operating system for each; the only kind at a real site."""
        return cls(
            sampling=np.random.default_rng(),
            noise=np.random.default_rng(),
            dropout=np.random.default_rng(),
        )

    @classmethod
    def reproducible(cls, *, seed: int, site: str, round: int) -> "Randomness":
        """For simulations: a stream of its own for every seed, site and round."""
        entropy = [seed, round, *site.encode()]
        sampling, noise, dropout = map(
            np.random.default_rng, np.random.SeedSequence(entropy).spawn(3)
        )
        return cls(sampling=sampling, noise=noise, dropout=dropout)


def noise_of_evaluation(
    *, seed: int | None, site: str, round: int, split: HeldOut
) -> np.random.Generator:
    """The noise of one evaluation; without a seed, 128 fresh bits from the operating system."""
    if seed is None:
        return np.random.default_rng()
    # A spawn key keeps it apart from the streams of `Randomness.reproducible`.
    entropy = [seed, round, *site.encode()]
    return np.random.default_rng(
        np.random.SeedSequence(entropy, spawn_key=(1, SPLITS.index(split)))
    )
