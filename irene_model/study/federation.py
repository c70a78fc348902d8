"""The part of study.yaml that says how a federation runs: rounds, strategy, late updates, traffic.

See docs/federation.md, which says what each choice does. The learning rate takes its course where
the size of a step is decided: at the sites under FedAvg, whose optimizers turn gradients into
steps, and at the server under FedAdam and FedYogi, which rescale what sites send.
"""

import itertools
import math
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from irene_model.study.records import HeldOut
from irene_model.study.secure import LEAST_HONEST, MOST_SECURE_SITES, Secure
from irene_model.study.settings import GrownSettings, Settings
from irene_model.study.wire import Encoding

if TYPE_CHECKING:
    from irene_model.study.study import Study

MOST_ROUNDS = 1_000_000
StrategyName = Literal["fedavg", "fedprox", "fedadam", "fedyogi", "trimmed_mean", "median"]
ADAPTIVE: tuple[StrategyName, ...] = ("fedadam", "fedyogi")
ROBUST: tuple[StrategyName, ...] = ("trimmed_mean", "median")


def trimmed(fraction: float, sites: int) -> int:
    """How many of so many values a trimmed mean leaves out at each end."""
    return math.floor(fraction * sites)


class Late(Settings):
    """A late update is used in the next round, with its weight times `discount` a round late."""

    discount: float = Field(gt=0, le=1)


class Federation(GrownSettings):
    """Rounds, who must be there, and how updates become weights (`server.aggregation.strategies`).

    `round_deadline_s` is in seconds. Under `fedadam` with `sgd` at the sites and one local step
    the federation is Adam on the mean of all sites' noised gradients: the best use of a small
    budget, at the price of many rounds.

    `proximal_mu` is FedProx's pull to the round's weights, `trim_fraction` what the trimmed mean
    leaves out at each end. `late` says what becomes of an update after its site's time.
    `largest_cohort` is the largest declared number of patients that weighs an update; a reply
    that declares more is refused. In a mean no site has more than `largest_share` of the weight: a
    declared size is a number that a site could lie about, and by default none outvotes all others
    together. `average_over` says by whose weight a parameter's sum is divided: that of its
    `trainers`, or that of all `sites`, where who lacks the modality or the label counts as wanting
    no change (plain FedAvg). `wire` is how updates travel, `wire_down` how weights do.

    `secure` hides each site's update in a sum (`irene_model.study.secure`); `minimum_sites` is then
    how many a step needs, and all their noise together is planned for so many.
    """

    later: ClassVar[frozenset[str]] = frozenset({"secure", "average_over"})
    rounds: int = Field(ge=1, le=MOST_ROUNDS)
    local_steps: int = Field(ge=1, le=MOST_ROUNDS)
    minimum_sites: int = Field(default=2, ge=1, le=10_000)
    round_deadline_s: float = Field(default=3600.0, gt=0)
    strategy: StrategyName = "fedavg"
    server_learning_rate: float = Field(default=1.0, gt=0)
    proximal_mu: float = Field(default=0.0, ge=0)
    trim_fraction: float = Field(default=0.2, ge=0.001, lt=0.5)
    evaluate_every: int = Field(default=1, ge=1)
    late: Literal["discard"] | Late = "discard"
    largest_cohort: float | None = Field(default=None, ge=1)
    largest_share: float = Field(default=0.5, ge=0.5, le=1)
    average_over: Literal["trainers", "sites"] = "trainers"
    wire: Encoding = "float32"
    wire_down: Encoding = "float32"
    secure: Secure | None = None

    @model_validator(mode="after")
    def _mu_is_fedprox(self) -> Self:
        if (self.strategy == "fedprox") != (self.proximal_mu > 0):
            raise ValueError("proximal_mu must be above 0 with strategy fedprox, and only there")
        if self.strategy in ROBUST and self.late != "discard":
            raise ValueError(f"late: {self.strategy} has no weights to discount; use discard")
        if self.average_over == "sites" and (self.strategy in ROBUST or self.secure is not None):
            way = "a secure sum" if self.secure is not None else self.strategy
            raise ValueError(f"average_over: {way} is over who trains a parameter; use trainers")
        return self

    @model_validator(mode="after")
    def _secure_sums_are_plain_sums(self) -> Self:
        if self.secure is None:
            return self
        if self.strategy in ROBUST or self.strategy == "fedprox":
            raise ValueError(
                f"strategy: {self.strategy} needs each site's own update, which a secure sum "
                "hides; use fedavg, fedadam or fedyogi"
            )
        if self.local_steps != 1:
            raise ValueError(
                "local_steps: must be 1 under secure sums: a later local step depends on the "
                "site's own noise of the step before, for which no accounting is proved"
            )
        if self.late != "discard":
            raise ValueError("late: a late update opens no sum; use discard under secure sums")
        least = self.secure.colluding + LEAST_HONEST
        if not least <= self.minimum_sites <= MOST_SECURE_SITES:
            raise ValueError(
                f"minimum_sites: must be from {least} to {MOST_SECURE_SITES} under secure sums "
                f"with {self.secure.colluding} colluding: with fewer honest sites no noise is "
                "shared"
            )
        roster = self.secure.roster
        if roster is not None and len(roster.members) < self.minimum_sites:
            raise ValueError("secure.roster: has fewer members than minimum_sites")
        return self

    @property
    def discount(self) -> float | None:
        """The factor of a late update's weight for each round late; None where it is discarded."""
        return self.late.discount if isinstance(self.late, Late) else None

    @property
    def needed_sites(self) -> int:
        """The updates without which a round waits: `minimum_sites`, or more under a strategy that
        does not do what its name says with so few."""
        return max(self.minimum_sites, self.robust_from)

    @property
    def robust_from(self) -> int:
        """How many values it takes until a robust strategy leaves one out at each end; else 1."""
        if self.strategy == "median":
            return 3
        if self.strategy != "trimmed_mean":
            return 1
        return next(n for n in itertools.count(3) if trimmed(self.trim_fraction, n) > 0)

    def named(self, split: HeldOut, round: int) -> bool:
        """Whether the study has an evaluation of `split` after `round`; of test patients one may
        come after any round, since a run can end early, but only one does."""
        return 1 <= round <= self.rounds and (split == "test" or self.evaluated(round))

    def evaluated(self, round: int) -> bool:
        """Whether the weights are evaluated on validation patients after `round`."""
        return round % self.evaluate_every == 0 or round == self.rounds


def site_rate(study: "Study", round: int) -> float:
    """The sites' learning rate in `round` (from 1)."""
    factor = 1.0 if study.federation.strategy in ADAPTIVE else rate_factor(study, round)
    return study.training.learning_rate * factor


def server_rate(study: "Study", round: int) -> float:
    """The server's learning rate in `round` (from 1)."""
    factor = rate_factor(study, round) if study.federation.strategy in ADAPTIVE else 1.0
    return study.federation.server_learning_rate * factor


def rate_factor(study: "Study", round: int) -> float:
    """Linear warm-up, then a cosine from 1 to `final_rate_fraction` at the last round."""
    training, rounds = study.training, study.federation.rounds
    warm = min(1.0, round / (training.warmup_rounds + 1))
    done = (round - 1) / max(1, rounds - 1)
    cosine = 0.5 * (1 + math.cos(math.pi * done))
    floor = training.final_rate_fraction
    return warm * (floor + (1 - floor) * cosine)
