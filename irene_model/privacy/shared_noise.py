"""Noise that sites share: what each adds, and what it amounts to against whom.

Every site adds noise of standard deviation s to its clipped sum. Whoever knows what `colluding`
sites added still faces the noise of all others, sqrt(n - t) s (a patient's own site is among the
others: it does not collude against its own patients).
"""

import math


def share_of(noise_multiplier: float, *, sites: int, colluding: int) -> float:
    """What each of `sites` adds, over the clip norm, so that all but `colluding` reach
    `noise_multiplier` together. ValueError where nobody would be left."""
    return noise_multiplier / math.sqrt(_honest(sites, colluding))


def joint_noise(share: float, *, sites: int, colluding: int) -> float:
    """The noise multiplier that shares of `share` amount to: the inverse of `share_of`."""
    return share * math.sqrt(_honest(sites, colluding))


def _honest(sites: int, colluding: int) -> int:
    if sites - colluding < 1:
        raise ValueError("more sites must take part than collude")
    return sites - colluding
