"""What a site answers. A reply that gives nothing holds no arrays and says why."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from irene_model.exchange.protocol import Fingerprint, Message
from irene_model.study import (
    LARGEST_NOISE,
    MOST_LABELS,
    MOST_ROUNDS,
    Labels,
    Modalities,
    Reason,
    SiteName,
)

Nothing = Literal["waiting", "declined", "failed"]
"""What a reply says that gives nothing."""
# Why a site does not serve, in one word, for what the server does about it; the reason says more.
Code = Literal[
    "", "people", "stale", "study", "limits", "budget", "metrics", "message", "configuration",
    "files", "patients", "ledger", "error",
]  # fmt: skip
# A label in an evaluation's reply: its histograms are there, the site does not have it, or fewer
# patients than the site's minimum group have it or have it not.
LABEL_SENT, LABEL_ABSENT, LABEL_WITHHELD = 1, 0, -1
MOST_PATIENTS = 1e9  # of one site
LARGEST_EPSILON = 1e6  # a bound beyond it bounds nothing


def _no_bound_beyond(epsilon: float) -> float:
    if not epsilon >= 0:
        raise ValueError("must be at least 0")
    return epsilon if epsilon <= LARGEST_EPSILON else float("inf")


NoiseMultiplier = Annotated[float, Field(ge=0, le=LARGEST_NOISE, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=1e8, allow_inf_nan=False)]
Epsilon = Annotated[float, AfterValidator(_no_bound_beyond)]
"""Infinite without noise, and where it is too large to mean anything."""


class Reply(Message):
    """What a site answers: its name, what became of the question, and why, if it gives nothing.

    "waiting" is for what the site's own people have to do.
    """

    gives: ClassVar[str]
    site: SiteName
    outcome: str
    reason: Reason = ""
    code: Code = ""

    @model_validator(mode="after")
    def _gives_all_or_nothing(self) -> Self:
        given = self.outcome == self.gives
        if given and (self.reason or self.code):
            raise ValueError("a reply that gives something has no reason not to")
        if self.arrays and not given:
            raise ValueError("a reply that gives nothing holds no arrays")
        return self


class HelloReply(Reply):
    """Whether the site can serve the study.

    only_evaluates: of a site that never trains, its declared number of held-out patients; 0 of all
    others, whose greeting does not hold the field, so that it is the one that it always was.
    """

    kind = "here"
    gives = "ready"
    outcome: Literal["ready"] | Nothing
    only_evaluates: float = Field(default=0.0, ge=0, le=MOST_PATIENTS, allow_inf_nan=False)

    @model_serializer(mode="wrap")
    def _without_what_is_usual(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        document: dict[str, Any] = plain(self)
        if self.only_evaluates == 0:
            document.pop("only_evaluates", None)
        return document


class RoundReply(Reply):
    """What a reply says that answers for a round.

    epsilon_run and epsilon_total: spent by this run and by everything in the ledger, by the smaller
    of both bounds, at the study's delta; infinite without noise. Under secure sums that is against
    the coordinator with the study's number of colluding sites, and `epsilon_alone` what this run
    spent if everybody else colludes. attempt: that of the request; 0 without secure sums.
    """

    round: int = Field(ge=0, le=MOST_ROUNDS)
    fingerprint: Fingerprint
    noise_multiplier: NoiseMultiplier = 0.0
    epsilon_run: Epsilon = 0.0
    epsilon_total: Epsilon = 0.0
    epsilon_alone: Epsilon = 0.0
    attempt: int = Field(default=0, ge=0, le=MOST_ROUNDS)
    seconds: Seconds = 0.0


class TrainReply(RoundReply):
    """What became of a round at a site.

    arrays: the update, new weights minus the round's, of the parameters that the study trains and
    of no other; empty unless `outcome` is "updated".
    weight: the site's declared number of patients. rounds_charged: rounds of this run that the
    ledger has charged until now, whatever the outcome; -1 if it can't be read. modalities and
    labels: what the site maps at all, which says what it trains (`irene_model.weights.groups`).

    Under secure sums `arrays` is "sum" alone, (D,) uint32: the site's clipped sum over all that the
    study trains, on the study's grid, with its share of the noise and its masks.
    """

    kind = "trained"
    gives = "updated"
    outcome: Literal["updated"] | Nothing
    weight: float = Field(default=0.0, ge=0, le=MOST_PATIENTS, allow_inf_nan=False)
    sample_rate: float = Field(default=0.0, ge=0, le=1, allow_inf_nan=False)
    rounds_charged: int = Field(default=-1, ge=-1, le=MOST_ROUNDS)
    modalities: Modalities = ""
    labels: Labels = ""


class EvaluateReply(RoundReply):
    """arrays: none, or "histograms" and "labels" (K,) of LABEL_SENT and its like, if "evaluated".

    Histograms are (K, 2, BINS) of `irene_model.metrics` and exact, or (K, 2, COARSE_BINS) of it
    with normal noise of `deviation` patients in each cell of the labels that are sent, which is
    `noise_multiplier` times the sensitivity. Under secure sums `arrays` is "sum" alone, as above,
    of noised histograms.
    """

    kind = "evaluated"
    gives = "evaluated"
    outcome: Literal["evaluated"] | Nothing
    deviation: float = Field(default=0.0, ge=0, le=LARGEST_NOISE * MOST_LABELS, allow_inf_nan=False)
