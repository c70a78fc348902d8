"""Typed messages and their flat form: named arrays and a dictionary of plain values.

The flat form is what travels. Flower's records are made of it in the apps and the round loop, so
that messages and all that judges them can be tested without Flower. A message of the wrong form
is a ProtocolError that names the field, never its value.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from irene_model.errors import ProtocolError, StaleMessage, StudyMismatch
from irene_model.study import Encoding, HeldOut, Packed, Study, pack, unpack

Array = npt.NDArray[Any]
Arrays = dict[str, Array]
Plain = str | int | float | bool
Outcome = Literal["ready", "waiting", "updated", "evaluated", "declined", "failed"]
# Why a site does not serve, in one word, for what the server does about it; the reason says more.
Code = Literal[
    "", "people", "stale", "study", "limits", "budget", "metrics", "message", "configuration",
    "files", "patients", "error",
]  # fmt: skip
PROTOCOL = 4
WIRE_DTYPE = np.dtype(np.float32)
# A label in an evaluation's reply: its histograms are there, the site does not have it, or fewer
# patients than the site's minimum group have it or have it not.
LABEL_SENT, LABEL_ABSENT, LABEL_WITHHELD = 1, 0, -1


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
        values = {"kind": self.kind, "protocol": PROTOCOL, **self.model_dump(exclude={"arrays"})}
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
            field = ".".join(str(part) for part in problem["loc"])
            raise ProtocolError(f"{cls.kind}: field '{field}': {problem['type']}") from None


class Request(Message):
    """What the server asks in a run.

    study: its canonical JSON. fingerprint: that of the study the run was started with. deadline:
    when the server stops to wait, in seconds of Unix time (UTC); what starts later is in vain.
    """

    study: str
    fingerprint: str
    run: str
    deadline: float = Field(gt=0, allow_inf_nan=False)

    @classmethod
    def about(cls, study: Study, **fields: Any) -> Self:
        """A request in a run of `study`; without a `deadline` it is one hour from now."""
        fields = {"deadline": time.time() + 3600.0, **fields}
        return cls(study=study.canonical, fingerprint=study.fingerprint, **fields)

    def timely_study(self) -> Study:
        """The study that is asked for, if the message is in time and true to its fingerprint."""
        self.check_deadline()
        study = read_study(self.study)
        if study.fingerprint != self.fingerprint:
            raise StudyMismatch("the study in the message has another fingerprint than it says")
        return study

    def check_deadline(self) -> None:
        """Raise StaleMessage where the server no longer waits: nothing should be spent then."""
        late_s = time.time() - self.deadline
        if late_s > 0:
            raise StaleMessage(
                f"the message came {late_s:.0f} s after its deadline; if that is not true, set "
                "this machine's clock"
            )


class HelloRequest(Request):
    """Who is there? The site prepares its data for the study, so that round 1 is not late."""

    kind = "hello"


class HelloReply(Message):
    """The site's name, and "ready", or why not; "waiting" for what its own people have to do."""

    kind = "here"
    site: str
    outcome: Outcome
    reason: str = ""
    code: Code = ""


class TrainRequest(Request):
    """One round for one site. arrays: the round's weights, as they travel.

    again: send the round's update if it was released before, and train nothing; `arrays` is empty.
    """

    kind = "train"
    round: int = Field(ge=1)
    again: bool = False


class TrainReply(Message):
    """What became of a round at a site.

    arrays: the update, new weights minus the round's, of the parameters that the study trains and
    of no other; empty unless `outcome` is "updated".
    weight: the site's declared number of patients. rounds_charged: rounds of this run that the
    ledger has charged until now, whatever the outcome; -1 if it can't be read. epsilon_run and
    epsilon_total: spent by this run and by everything in the ledger, by RDP, at the study's delta;
    infinite without noise. modalities and labels: what the site maps at all, which says what it
    trains (`irene_model.weights.groups`).
    """

    kind = "trained"
    site: str
    round: int
    fingerprint: str
    outcome: Outcome
    reason: str = ""
    code: Code = ""
    weight: float = Field(default=0.0, ge=0)
    noise_multiplier: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    sample_rate: float = Field(default=0.0, ge=0, le=1)
    rounds_charged: int = Field(default=-1, ge=-1)
    modalities: str = Field(default="", pattern=r"^[a-z0-9_:,]*$", max_length=4000)
    labels: str = Field(default="", pattern=r"^[01]*$")
    epsilon_run: float = 0.0
    epsilon_total: float = 0.0
    seconds: float = 0.0


class EvaluateRequest(Request):
    """Evaluate the weights in `arrays` on the site's held-out patients of `split`.

    Nobody may ask for scores of training patients.
    """

    kind = "evaluate"
    round: int = Field(ge=0)
    split: HeldOut


class EvaluateReply(Message):
    """arrays: none, or "histograms" and "labels" (K,) of LABEL_SENT and its like, if "evaluated".

    Histograms are (K, 2, BINS) of `irene_model.metrics.metrics` and exact, or (K, 2, COARSE_BINS) of
    `irene_model.metrics.coarse_bins` with normal noise of `deviation` patients in each cell of the labels that
    are sent, which is `noise_multiplier` times the sensitivity. epsilon_run and epsilon_total are
    then as in TrainReply.
    """

    kind = "evaluated"
    site: str
    round: int
    fingerprint: str
    outcome: Outcome
    reason: str = ""
    code: Code = ""
    noise_multiplier: float = Field(default=0.0, ge=0)
    deviation: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    epsilon_run: float = 0.0
    epsilon_total: float = 0.0
    seconds: float = 0.0


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
        raise ProtocolError(f"the update's array '{odd[0][:80]}' is {state}")
    for name, array in update.items():
        if array.shape != like[name].shape:
            raise ProtocolError(
                f"the update's array '{name}' has shape {array.shape}, not {like[name].shape}"
            )
        if array.dtype != WIRE_DTYPE:
            raise ProtocolError(f"the update's array '{name}' is {array.dtype}, not {WIRE_DTYPE}")
        if not np.isfinite(array).all():
            raise ProtocolError(f"the update's array '{name}' holds a value that is not finite")
