"""What is drawn for each site: what it lacks, how often, and its scanner. Pure."""

from collections.abc import Mapping, Sequence

import numpy as np


def lacking(
    num_sites: int, shares: Mapping[str, float], rng: np.random.Generator
) -> list[frozenset[str]]:
    """What each site lacks: of every name, so many sites as its share, but never all of them.

    Sites that lack little are taken first, so that none is left without everything by chance.
    """
    taken: list[set[str]] = [set() for _ in range(num_sites)]
    for name, share in shares.items():
        count = min(round(share * num_sites), num_sites - 1)
        order = sorted(rng.permutation(num_sites), key=lambda site: len(taken[site]))
        for site in order[:count]:
            taken[site].add(name)
    return [frozenset(names) for names in taken]


def rates(
    num_sites: int, ranges: Mapping[str, Sequence[float]], rng: np.random.Generator
) -> list[dict[str, float]]:
    """Each site's chance that a record lacks a modality, drawn evenly from its range."""
    drawn = {
        name: rng.uniform(ends[0], ends[1], size=num_sites).tolist()
        for name, ends in ranges.items()
    }
    return [{name: drawn[name][site] for name in drawn} for site in range(num_sites)]


def scanners(num_sites: int, strength: float, rng: np.random.Generator) -> list[dict[str, float]]:
    """Contrast, brightness, noise and blur of each site's scanner, as `patients.Scanner` has them.

    At strength 1 they differ as much as those of the natural characters.
    """
    z = strength * np.clip(rng.standard_normal((num_sites, 4)), -2, 2)
    contrast, brightness = np.exp(0.15 * z[:, 0]), 0.04 * z[:, 1]
    noise, blur = 0.03 * np.exp(0.3 * z[:, 2]), 3.5 * np.exp(0.25 * z[:, 3])
    names = ("contrast", "brightness", "noise", "blur")
    rows = zip(contrast, brightness, noise, blur, strict=True)
    return [dict(zip(names, map(float, row), strict=True)) for row in rows]
