"""How many steps, how large a batch and which rate an epsilon is best spent on (pure).

All that is learned under noise is bounded by the ratio r of signal to noise over a whole run
(`irene_model.privacy.signal_to_noise`). T steps in which each of N patients takes part with
probability q, under a noise multiplier s, are nearly mu-Gaussian private (Bu et al. 2020, "Deep
learning
with Gaussian differential privacy", its central limit theorem for Poisson sampling) with

    mu = q sqrt(T (exp(1/s^2) - 1)),    hence with z = q sqrt(T)    1/s^2 = ln(1 + mu^2/z^2).

The batch is B = q N, and r = sqrt(T/d) B/s becomes a function of z alone:

    r = N mu / sqrt(d) x rho(z/mu),    rho(u) = u sqrt(ln(1 + 1/u^2)),

which rises from 0 to 1. So an epsilon has a best ratio, N mu / sqrt(d), however it is spent, and
steps and batch decide how much of it is reached. Work is q T = z sqrt(T) passes over the patients:
for the same ratio few steps with large batches are cheapest, until there are too few to learn in.

Under Adam each coordinate is divided by the root of its second moment, which is nearly all noise.
What noise does to a weight in T steps of rate a is a random walk of a sqrt(T), and what signal does
is in the ratio r to it: the rate decides how far weights travel, and nothing else. What counts is
how far against where they begin: a matrix of width w is drawn with a deviation of 1/sqrt(w), so
that a sqrt(T w) is the same for models of all widths.

The central limit theorem only chooses; the noise of what is chosen comes from the accountants. The
numbers below were measured on made-up patients alone: docs/researcher.md, "Plan a study".
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr

STEPS = 144
"""Fewer learned less at equal work, more not much more."""
PASSES = 20.0
"""The most that is worked for each patient."""
SHARE = 0.9
"""Of the best ratio: what is left costs work without bound."""
TRAVEL, TRAVEL_FROM_START = 1.6, 0.17
"""a sqrt(T w): how far a weight walks; a model that was trained before must not go as far."""
LOOK_ERROR, MOST_LOOKS = 0.01, 6
"""The deviation that noise may give a macro AUROC by which a round is chosen."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """rounds of one step each; sample_rate: each patient's part in a step; rate: Adam's."""

    rounds: int
    sample_rate: float
    rate: float

    @property
    def passes(self) -> float:
        """How often each patient is seen."""
        return self.rounds * self.sample_rate


def pace(
    epsilon: float,
    delta: float,
    *,
    width: int,
    rounds: int = STEPS,
    passes: float = PASSES,
    started: bool = False,
) -> Pace:
    """The pace that reaches `SHARE` of the best ratio, or as much as `passes` allow.

    width: the model's hidden size. started: whether the first weights were trained before.
    """
    spread = gaussian(epsilon, delta) * _spread_for(SHARE)
    travel = TRAVEL_FROM_START if started else TRAVEL
    return Pace(
        rounds=rounds,
        sample_rate=min(1.0, spread / math.sqrt(rounds), passes / rounds),
        rate=_digits(travel / math.sqrt(rounds * width)),
    )


def reached(pace: Pace, epsilon: float, delta: float) -> float:
    """Which share of the best ratio a pace reaches: rho."""
    return _reached(pace.sample_rate * math.sqrt(pace.rounds) / gaussian(epsilon, delta))


def gaussian(epsilon: float, delta: float) -> float:
    """The mu for which mu-Gaussian privacy is (epsilon, delta).

    Balle & Wang 2018, Theorem 8, as Dong et al. 2022, Corollary 1.
    """

    def excess(log_mu: float) -> float:
        mu = math.exp(log_mu)
        far = math.exp(min(0.0, epsilon + float(log_ndtr(-epsilon / mu - mu / 2))))
        return float(ndtr(mu / 2 - epsilon / mu)) - far - delta

    return math.exp(brentq(excess, -20.0, 10.0, xtol=1e-9))


def look_error(*, deviation: float, patients: float, prior: float, labels: int) -> float:
    """The deviation of a macro AUROC by noise alone, about.

    deviation: of each cell of the sites' summed histograms. patients: those that are judged, of
    whom `prior` have a label. The noise of ten cells moves a label's AUROC by about one cell's over
    the positives, as docs/privacy.md measures it; the labels' are independent.
    """
    return deviation / (max(1.0, prior * patients) * math.sqrt(labels))


def looks(errors: Sequence[float]) -> int:
    """How many evaluations: the most whose noise stays below `LOOK_ERROR`, at least one.

    errors: `look_error` with one evaluation, with two and so on, all for one epsilon.
    """
    return max((n for n, error in enumerate(errors, start=1) if error <= LOOK_ERROR), default=1)


def hidden(missing: float) -> float:
    """The modality dropout for a modality that `missing` of the patients may lack.

    Above that rate, so that training has met it more often than use will; at most half.
    """
    return min(0.5, math.ceil(20 * (missing + 0.1) - 1e-9) / 20) if missing > 0 else 0.0


def whole(value: float) -> int:
    """A count to three digits, rounded down; at least 1."""
    last = 10.0 ** max(0, int(math.log10(max(1.0, value))) - 2)
    return max(1, int(int(value / last) * last))


def _reached(spread: float) -> float:
    return spread * math.sqrt(math.log1p(1 / spread**2))


def _spread_for(share: float) -> float:
    """The inverse of `_reached`."""
    found: float = brentq(lambda spread: _reached(spread) - share, 1e-6, 1e6)
    return found


def _digits(value: float) -> float:
    """Rounded to two significant digits."""
    return float(f"{value:.2g}")
