"""Typed messages and their flat form: named arrays and a dictionary of plain values.

The flat form is what travels. Flower's records are made of it in the apps and the round loop, so
that messages and all that judges them can be tested without Flower. A message of the wrong form
is a ProtocolError that names the field, never its value.

Every field is bounded here, once, before anything reads it: numbers are finite and within what any
study could lead to, names and sentences have their alphabet and length (`irene_model.study.names`),
and a reply that gives nothing holds no arrays. What fits one study alone is judged by the server.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from irene_model.errors import ProtocolError, StaleMessage, StudyMismatch
from irene_model.study import (
    LARGEST_NOISE,
    MOST_LABELS,
    MOST_ROUNDS,
    Encoding,
    HeldOut,
    Labels,
    Modalities,
    Packed,
    Reason,
    RunName,
    SiteName,
    Study,
    one_line,
    pack,
    unpack,
)

Array = npt.NDArray[Any]
Arrays = dict[str, Array]
Plain = str | int | float | bool
Nothing = Literal["waiting", "declined", "failed"]
"""What a reply says that gives nothing."""
# Why a site does not serve, in one word, for what the server does about it; the reason says more.
Code = Literal[
    "", "people", "stale", "study", "limits", "budget", "metrics", "message", "configuration",
    "files", "patients", "ledger", "error",
]  # fmt: skip
PROTOCOL = 4
WIRE_DTYPE = np.dtype(np.float32)
# A label in an evaluation's reply: its histograms are there, the site does not have it, or fewer
# patients than the site's minimum group have it or have it not.
LABEL_SENT, LABEL_ABSENT, LABEL_WITHHELD = 1, 0, -1
MOST_PATIENTS = 1e9  # of one site
LARGEST_EPSILON = 1e6  # a bound beyond it bounds nothing


def _no_bound_beyond(epsilon: float) -> float:
    if not epsilon >= 0:
        raise ValueError("must be at least 0")
    return epsilon if epsilon <= LARGEST_EPSILON else float("inf")


Fingerprint = Annotated[str, Field(pattern=r"^[0-9a-z]{0,64}$")]
NoiseMultiplier = Annotated[float, Field(ge=0, le=LARGEST_NOISE, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=1e8, allow_inf_nan=False)]
Epsilon = Annotated[float, AfterValidator(_no_bound_beyond)]
"""Infinite without noise, and where it is too large to mean anything."""


@dataclass(frozen=True, kw_only=True)
class Flat:
    """What travels: arrays, in `encoding` where they are float32, and plain values."""

    arrays: Arrays
    values: dict[str, Plain]
    encoding: Encoding = "float32"

    def packed(self) -> dict[str, Packed]:
        """The arrays as bytes."""
        return {name: pack(array, self.encoding) for name, array in self.arrays.items()}

    @classmethod
    def unpacked(cls, packed: Mapping[str, Packed], values: dict[str, Plain]) -> "Flat":
        """The inverse of `packed`; a ProtocolError where bytes and shapes differ."""
        return cls(arrays={name: unpack(each) for name, each in packed.items()}, values=values)


class Message(BaseModel):
    """Plain fields, checked strictly, and `arrays`, which travel in the encoding `wire`."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True
    )
    kind: ClassVar[str]
    arrays: Arrays = Field(default_factory=dict, repr=False)
    wire: Encoding = "float32"

    def to_flat(self) -> Flat:
        """The travelling form."""
        fields = self.model_dump(exclude={"arrays"}, warnings=False)  # judged where it is read
        values = {"kind": self.kind, "protocol": PROTOCOL, **fields}
        return Flat(arrays=self.arrays, values=values, encoding=self.wire)

    @classmethod
    def from_flat(cls, flat: Flat) -> Self:
        """Read the travelling form; a missing, unknown or ill-typed field is a ProtocolError."""
        values = dict(flat.values)
        if values.pop("protocol", None) != PROTOCOL:
            raise ProtocolError(f"the other side does not speak protocol {PROTOCOL}")
        if values.pop("kind", None) != cls.kind:
            raise ProtocolError(f"expected a message of kind '{cls.kind}'")
        try:
            return cls.model_validate({**values, "arrays": flat.arrays})
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            field = one_line(".".join(str(part) for part in problem["loc"]), 80)
            said = problem["type"]
            if said == "value_error":  # a sentence of ours
                said = problem["msg"].removeprefix("Value error, ")
            raise ProtocolError(f"{cls.kind}: field '{field or 'outcome'}': {said}") from None


class Request(Message):
    """What the server asks in a run.

    study: its canonical JSON. fingerprint: that of the study the run was started with. deadline:
    for how many seconds the server waits, from when it made the message; what starts later is in
    vain. It is a duration, so that it can be measured by the receiver's own clock.
    """

    study: str
    fingerprint: Fingerprint
    run: RunName
    deadline: float = Field(gt=0, allow_inf_nan=False)
    _made: float = PrivateAttr(default_factory=time.monotonic)

    @classmethod
    def about(cls, study: Study, **fields: Any) -> Self:
        """A request in a run of `study`; without a `deadline` it is one hour."""
        fields = {"deadline": 3600.0, **fields}
        return cls(study=study.canonical, fingerprint=study.fingerprint, **fields)

    def after(self, waited_s: float) -> Self:
        """This request where it was on its way for `waited_s` before it was read here."""
        moved = self.model_copy()
        moved._made -= waited_s if waited_s > 0 else 0.0  # also where it is no number
        return moved

    def timely_study(self) -> Study:
        """The study that is asked for, if the message is in time and true to its fingerprint."""
        self.check_deadline()
        study = read_study(self.study)
        if study.fingerprint != self.fingerprint:
            raise StudyMismatch("the study in the message has another fingerprint than it says")
        return study

    def check_deadline(self) -> None:
        """Raise StaleMessage where the server no longer waits: nothing should be spent then."""
        late_s = time.monotonic() - self._made - self.deadline
        if late_s > 0:
            raise StaleMessage(f"the message is {late_s:.0f} s beyond its deadline")


class HelloRequest(Request):
    """Who is there? The site prepares its data for the study, so that round 1 is not late."""

    kind = "hello"


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
    """Whether the site can serve the study."""

    kind = "here"
    gives = "ready"
    outcome: Literal["ready"] | Nothing


class TrainRequest(Request):
    """One round for one site. arrays: the round's weights, as they travel.

    rounds_charged: how many rounds of this run the site itself has told that it charged, at most.
    A ledger that knows of fewer was lost or is an older copy.
    again: send the round's update if it was released before, and train nothing; `arrays` is empty.
    """

    kind = "train"
    round: int = Field(ge=1, le=MOST_ROUNDS)
    rounds_charged: int = Field(default=0, ge=0, le=MOST_ROUNDS)
    again: bool = False


class TrainReply(Reply):
    """What became of a round at a site.

    arrays: the update, new weights minus the round's, of the parameters that the study trains and
    of no other; empty unless `outcome` is "updated".
    weight: the site's declared number of patients. rounds_charged: rounds of this run that the
    ledger has charged until now, whatever the outcome; -1 if it can't be read. epsilon_run and
    epsilon_total: spent by this run and by everything in the ledger, by the smaller of both bounds,
    at the study's delta; infinite without noise. modalities and labels: what the site maps at all,
    which says what it trains (`irene_model.weights.groups`).
    """

    kind = "trained"
    gives = "updated"
    outcome: Literal["updated"] | Nothing
    round: int = Field(ge=0, le=MOST_ROUNDS)
    fingerprint: Fingerprint
    weight: float = Field(default=0.0, ge=0, le=MOST_PATIENTS, allow_inf_nan=False)
    noise_multiplier: NoiseMultiplier = 0.0
    sample_rate: float = Field(default=0.0, ge=0, le=1, allow_inf_nan=False)
    rounds_charged: int = Field(default=-1, ge=-1, le=MOST_ROUNDS)
    modalities: Modalities = ""
    labels: Labels = ""
    epsilon_run: Epsilon = 0.0
    epsilon_total: Epsilon = 0.0
    seconds: Seconds = 0.0


class EvaluateRequest(Request):
    """Evaluate the weights in `arrays` on the site's held-out patients of `split`.

    Nobody may ask for scores of training patients.
    """

    kind = "evaluate"
    round: int = Field(ge=0, le=MOST_ROUNDS)
    split: HeldOut


class EvaluateReply(Reply):
    """arrays: none, or "histograms" and "labels" (K,) of LABEL_SENT and its like, if "evaluated".

    Histograms are (K, 2, BINS) of `irene_model.metrics` and exact, or (K, 2, COARSE_BINS) of it
    with normal noise of `deviation` patients in each cell of the labels that are sent, which is
    `noise_multiplier` times the sensitivity. epsilon_run and epsilon_total are then as in
    TrainReply.
    """

    kind = "evaluated"
    gives = "evaluated"
    outcome: Literal["evaluated"] | Nothing
    round: int = Field(ge=0, le=MOST_ROUNDS)
    fingerprint: Fingerprint
    noise_multiplier: NoiseMultiplier = 0.0
    deviation: float = Field(default=0.0, ge=0, le=LARGEST_NOISE * MOST_LABELS, allow_inf_nan=False)
    epsilon_run: Epsilon = 0.0
    epsilon_total: Epsilon = 0.0
    seconds: Seconds = 0.0


def read_study(text: str) -> Study:
    """The study in a message; malformed JSON is a ProtocolError."""
    try:
        return Study.from_canonical(text)
    except ValueError:
        raise ProtocolError("the study in the message is not valid JSON") from None


def check_update(update: Mapping[str, Array], like: Mapping[str, Array]) -> None:
    """Refuse an update with a missing or unknown name, a wrong shape or dtype, or a NaN."""
    odd = sorted(set(update) ^ set(like))
    if odd:
        state = "unknown" if odd[0] in update else "missing"
        raise ProtocolError(f"the update's array '{one_line(odd[0], 80)}' is {state}")
    for name, array in update.items():
        if array.shape != like[name].shape:
            raise ProtocolError(
                f"the update's array '{name}' has shape {array.shape}, not {like[name].shape}"
            )
        if array.dtype != WIRE_DTYPE:
            raise ProtocolError(f"the update's array '{name}' is {array.dtype}, not {WIRE_DTYPE}")
        if not np.isfinite(array).all():
            raise ProtocolError(f"the update's array '{name}' holds a value that is not finite")
