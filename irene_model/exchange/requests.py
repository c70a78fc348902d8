"""What the server asks: who is there, a round of training, an evaluation."""

import time
from typing import Any, Self

from pydantic import Field, PrivateAttr

from irene_model.errors import ProtocolError, StaleMessage, StudyMismatch
from irene_model.exchange.protocol import Fingerprint, Message
from irene_model.study import MOST_ROUNDS, HeldOut, Partners, RunName, Study


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


class Attempted(Request):
    """A question under secure sums: the how-manieth try it is, and who is in it.

    attempt: from 1, and never the same number again with other partners; 0 without secure sums.
    partners: names of all sites in it, this one among them, in order, with a comma between two.
    """

    attempt: int = Field(default=0, ge=0, le=MOST_ROUNDS)
    partners: Partners = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The partners' names."""
        return tuple(self.partners.split(",")) if self.partners else ()


class TrainRequest(Attempted):
    """One round for one site. arrays: the round's weights, as they travel.

    rounds_charged: how many rounds of this run the site itself has told that it charged, at most.
    A ledger that knows of fewer was lost or is an older copy.
    again: send the round's update if it was released before, and train nothing; `arrays` is empty.
    """

    kind = "train"
    round: int = Field(ge=1, le=MOST_ROUNDS)
    rounds_charged: int = Field(default=0, ge=0, le=MOST_ROUNDS)
    again: bool = False


class EvaluateRequest(Attempted):
    """Evaluate the weights in `arrays` on the site's held-out patients of `split`.

    Nobody may ask for scores of training patients.
    """

    kind = "evaluate"
    round: int = Field(ge=0, le=MOST_ROUNDS)
    split: HeldOut


def read_study(text: str) -> Study:
    """The study in a message; malformed JSON is a ProtocolError."""
    try:
        return Study.from_canonical(text)
    except (ValueError, RecursionError):
        raise ProtocolError("the study in the message is not valid JSON") from None
