"""The site's privacy ledger: durable, append-only, at most one release for each reservation.

The order is what protects patients: a reservation is on disk before training starts, and an
update's bytes are on disk, marked released, before any of them leaves. So a crash can leave a
charge without a release, never a release without a charge; and a round asked for again gets the
very same bytes, never a second noise for one charge. The budget counts every reservation on these
patients, over all runs and studies; a reservation reads the patients of one split, and
`client.ledger.exposures` tells what that means for one patient.

Every row is a link of a hash chain (`irene_model.journal.chain`) and a head file remembers the
newest one (`client.ledger.head`); both are verified at every use. Patients that join or leave
change nothing of what was spent: all charges go on counting for everyone, which over-counts for
those who were not there.
"""

import hashlib
import hmac
import logging
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

from client.ledger.attempts import check_form, taken_up
from client.ledger.durability import Survives
from client.ledger.exposures import counted
from client.ledger.history import History, Reservation
from client.ledger.judging import check_budgets, check_limits
from client.ledger.ledger_file import LedgerFile, Snapshot
from client.ledger.loss import Loss
from client.ledger.witnesses import Witnesses
from client.records import PatientSet
from client.site import Budget, Limits, Site
from irene_model.errors import LedgerError, ProtocolError, StaleMessage
from irene_model.privacy import Mechanism
from irene_model.study import Split

__all__ = ["Ledger", "Reservation"]

_log = logging.getLogger(__name__)
_NO_LIMITS = Limits()


class Ledger:
    """The ledger file of one site. Safe for several processes at once."""

    def __init__(
        self,
        path: Path,
        budget: Budget | None,
        witnesses: Witnesses | None = None,
        limits: Limits = _NO_LIMITS,
        survives: Survives = Survives.POWER_LOSS,
    ) -> None:
        """Open or create the ledger at `path`; `budget` None accepts releases without noise.

        limits: of them, those on a run's epsilon bound its attempts at secure sums.
        Raises LedgerLost where `witnesses` know more than the file, or it is missing or damaged.
        """
        self._file = LedgerFile(path, witnesses, survives)
        self._budget, self._limits = budget, limits
        self._file.open()

    @classmethod
    def of(cls, site: Site) -> "Ledger":
        """The ledger that site.yaml names, with its budget and what vouches for it."""
        return cls._at(site, Survives.POWER_LOSS)

    @classmethod
    def of_made_up(cls, site: Site) -> "Ledger":
        """`of` a simulated site without a real patient: it outlives kills, not a power failure."""
        return cls._at(site, Survives.KILLS)

    @classmethod
    def _at(cls, site: Site, survives: Survives) -> "Ledger":
        budget = None if site.budget == "none" else site.budget
        path = site.resolve(site.ledger)
        return cls(path, budget, Witnesses.of(site), site.limits, survives)

    @classmethod
    def begin(cls, site: Site, loss: Loss) -> None:
        """Begin a ledger at `site` in the place of a lost one, charged with `loss`."""
        LedgerFile(site.resolve(site.ledger), Witnesses.of(site)).open(loss)

    @classmethod
    def seen(cls, site: Site) -> History | None:
        """What the ledger of `site` says; None before the first start, and none is created."""
        if not LedgerFile(site.resolve(site.ledger), Witnesses.of(site)).found():
            return None
        return cls.of(site).history()

    def record_patients(self, digests: Iterable[bytes]) -> None:
        """Record the training patients where they are others than those recorded last.

        Raises LedgerError where no patient is in common: the ledger is another hospital's.
        """
        with self._file.write() as now:
            recorded = now.history.patients
            current = PatientSet.of(digests, salt=now.key)
            if current == recorded:
                return
            if recorded is not None:
                if recorded.count and not current.shares_patients_with(recorded):
                    raise LedgerError(
                        f"{self._file.path}: its charges were made for patients none of whom "
                        "is among this site's; name this site's own ledger in site.yaml (`ledger`)"
                    )
                _log.warning(
                    "the training patients changed (%d before, %d now); all that was spent goes "
                    "on counting for everyone",
                    recorded.count,
                    current.count,
                )
            now.append("patients", asdict(current))

    def reserve(
        self,
        *,
        run: str,
        round: int,
        mechanism: Mechanism,
        clip_norm: float,
        split: Split = "train",
        assignment: str = "",
        once: bool = False,
        attempt: int = 0,
        partners: str = "",
        alone: Mechanism | None = None,
    ) -> Reservation:
        """Charge `mechanism` to the budget, durably, before any of the split's patients is read.

        A round that was reserved before is returned as it stands, whether released or not, if it
        asks for the same mechanism. Raises BudgetExceeded where the budget would be exceeded for a
        patient of the split. `assignment` is the data set's; without it the charge counts for
        everyone. With `once` a run has one round of this split, besides round 0, which is before
        all training: another is a ProtocolError.

        Under secure sums `attempt` (from 1), `partners` and `alone` are given too. Each attempt is
        a charge. The newest one is returned as it stands to the same partners; what else is asked
        for with its number is a ProtocolError, an older number a StaleMessage. Neither costs.
        """
        asked = Reservation(
            id=0,
            run=run,
            round=round,
            split=split,
            assignment=assignment,
            mechanism=mechanism,
            clip_norm=clip_norm,
            released=False,
            attempt=attempt,
            partners=partners,
            alone=alone,
        )
        check_form(asked)
        asked = replace(asked, alone=None if alone == mechanism else alone)
        with self._file.write() as now:
            if assignment:  # keyed, as all that the ledger keeps of patients
                keyed = hmac.digest(now.key, assignment.encode(), "sha256").hex()
                asked = replace(asked, assignment=keyed)
            earlier = taken_up(now.history, asked)
            if earlier is not None:
                return earlier
            if once:
                _check_first(now.history, run, split, round)
            check_budgets(self._budget, now.history, asked)
            check_limits(self._limits, self._budget, now.history, asked)
            entry = now.append("reservation", asked.content())
            return replace(asked, id=entry.sequence)

    def release(self, reservation: Reservation, payload: bytes) -> bytes:
        """Mark `reservation` as released and keep its bytes, in one durable transaction.

        Returns the bytes to send: those of an earlier release, where there was one. Only the
        newest two rounds of a run and split keep their bytes; older ones keep their hash. An
        attempt after which another one was begun is a StaleMessage: nobody waits for it.
        """
        with self._file.write() as now:
            if reservation.id in now.history.releases:
                return _kept(now, reservation)
            known = now.history.find(reservation.run, reservation.round, reservation.split)
            if known is not None and known.attempt > reservation.attempt:
                raise StaleMessage(
                    f"attempt {reservation.attempt} at round {reservation.round} was given up: "
                    f"attempt {known.attempt} has begun; it is not released"
                )
            if known is None or known.id != reservation.id:
                raise LedgerError(
                    f"{self._file.path}: round {reservation.round} is not reserved in this ledger, "
                    "which was exchanged meanwhile; the round can't be released"
                )
            sha256 = hashlib.sha256(payload).hexdigest()
            now.append("release", {"reservation": reservation.id, "sha256": sha256})
            now.keep(reservation, payload)
            return payload

    def outbox(self, reservation: Reservation) -> bytes:
        """The bytes of a released reservation, to be sent again unchanged."""
        with self._file.read() as now:
            return _kept(now, reservation)

    def has_released(self, run: str, round: int, attempt: int = 0) -> bool:
        """Whether the training of `round` was released before, so that no second noise is drawn."""
        wanted = (round, "train", attempt)
        found = (r for r in self.reservations(run) if (r.round, r.split, r.attempt) == wanted)
        return any(r.released for r in found)

    def reservations(self, run: str | None = None) -> tuple[Reservation, ...]:
        """All reservations in order, or those of one run."""
        with self._file.read() as now:
            return tuple(r for r in now.history.reservations if run in (None, r.run))

    def history(self) -> History:
        """All that it says."""
        with self._file.read() as now:
            return now.history

    def epsilon(
        self, *, delta: float, run: str | None = None, seen: History | None = None
    ) -> float:
        """Epsilon of any one patient, of all that is reserved at this site or by one run.

        It is the smaller bound, as a budget counts; in up to seconds. What was charged for lost
        ledgers is in it, and brings its own delta beside `delta`. Under secure sums it is against
        the coordinator with as many colluding sites as a study names. seen: what the ledger says,
        where that was read just now: each reading verifies the whole chain.
        """
        return _spent(self.history() if seen is None else seen, delta, run)

    def epsilon_alone(
        self, *, delta: float, run: str | None = None, seen: History | None = None
    ) -> float:
        """`epsilon` if everybody else colludes: by this site's own noise alone."""
        return _spent((self.history() if seen is None else seen).if_all_collude, delta, run)


def _spent(history: History, delta: float, run: str | None) -> float:
    lost = history.loss.epsilon if run is None else history.loss.of_run(run)
    charges = [r for r in history.reservations if run in (None, r.run)]
    return lost + counted(charges, delta=delta)


def _check_first(history: History, run: str, split: Split, round: int) -> None:
    known = [r.round for r in history.reservations if (r.run, r.split) == (run, split)]
    earlier = [other for other in known if bool(other) == bool(round) and other != round]
    if earlier:
        raise ProtocolError(
            f"the run evaluated its {split} patients after round {earlier[0]}, and a study does so "
            "once"
        )


def _kept(now: Snapshot, reservation: Reservation) -> bytes:
    payload = now.kept(reservation.id)
    if payload is None:
        raise LedgerError(
            f"round {reservation.round} was released and its bytes are gone; it can't be released "
            "a second time"
        )
    if hashlib.sha256(payload).hexdigest() != now.history.releases.get(reservation.id):
        raise LedgerError(
            f"round {reservation.round}: the kept bytes were changed; they are not sent"
        )
    return payload
