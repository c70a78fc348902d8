"""What else at the site knows of the ledger: its journal and its approvals. They vouch for it.

Ledger and journal remember each other. The journal lists every release before it leaves, and each
row of the ledger names the journal's newest line of that moment; approvals are journalled before
they count. So none of them can be missing, cut or an older copy without one of the others showing
it, unless all are put back together: then the coordinator, who knows how many rounds of a run were
charged, is the only witness left (`rounds_charged` in its messages).
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from client.consent import Consent, plain
from client.ledger.head import Head
from client.ledger.history import History
from client.site import Site
from irene_model.errors import DataError, LedgerBehind
from irene_model.exchange import TrainRequest
from irene_model.journal import Entry, Journal

APPROVED, CONTRADICTED, LOSS = "study approved", "ledger contradicted", "ledger loss accepted"
_UPDATE, _EVALUATION = "update released", "evaluation released"


@dataclass(frozen=True, kw_only=True)
class Witnesses:
    """consent: None where nobody approves, as of a ledger that is opened by its path alone."""

    journal: Journal
    consent: Consent | None = None

    @classmethod
    def of(cls, site: Site) -> "Witnesses":
        """Those of a site."""
        consent = Consent.of(site)
        return cls(journal=consent.journal, consent=consent)

    def check(self, history: History | None) -> Head | None:
        """The journal's newest line, for the ledger's next row; None where there is none.

        Raises ValueError where a witness knows more than the ledger, or the ledger of more.
        `history` is None where there is no ledger: a first start, if nobody knows of one.
        """
        lines = self._lines()
        if history is not None:
            _check_mark(history.journal, lines)
        self._check_approvals(lines)
        check_releases(lines, history)
        return Head.of(lines[-1]) if lines else None

    def _lines(self) -> Sequence[Entry]:
        try:
            return self.journal.entries()
        except (DataError, OSError, UnicodeDecodeError):
            raise ValueError(
                f"its journal {self.journal.path.name} was altered or can't be read"
            ) from None

    def _check_approvals(self, lines: Sequence[Entry]) -> None:
        if self.consent is None:
            return
        known = {_facts(each).get("fingerprint") for each in lines if each.kind == APPROVED}
        forgotten = [each for each in self.consent.fingerprints if each not in known]
        if forgotten and not any(each.kind == LOSS for each in lines):
            raise ValueError(
                f"a study ({forgotten[0][:12]}…) was approved here and the journal "
                f"{self.journal.path.name} beside the ledger does not know of it: journal and "
                "ledger were moved, removed or cut"
            )


def check_releases(lines: Sequence[Entry], history: History | None) -> None:
    """Raise ValueError where the journal lists what the ledger does not know.

    That is an accepted loss, or a release after the newest one.
    """
    losses = [_facts(each).get("number", 0) for each in lines if each.kind == LOSS]
    if (losses[-1] if losses else 0) > (history.loss.number if history else 0):
        raise ValueError(f"the journal lists accepted loss {losses[-1]}, which the ledger lacks")
    charged = released_rounds(history)
    for line in since_loss(lines):
        facts = _facts(line)
        what = "train" if line.kind == _UPDATE else facts.get("split", "held-out")
        attempt = facts.get("attempt", 0)
        sought = (facts.get("run"), facts.get("round"), what, attempt)
        if _was_charged(line) and sought not in charged:
            of_it = f"attempt {attempt} at " if attempt else ""
            raise ValueError(
                f"the journal's line {line.sequence} lists the release of {of_it}round "
                f"{facts.get('round')} of run {plain(str(facts.get('run')))}, which the ledger "
                "lacks: it was lost, or is an older copy"
            )


def released_rounds(history: History | None) -> Collection[tuple[str, int, str, int]]:
    """(run, round, split, attempt) of all that was released; of held-out patients also without the
    split.
    """
    released = [r for r in (history.reservations if history else ()) if r.released]
    return {
        (r.run, r.round, what, r.attempt)
        for r in released
        for what in ([r.split] if r.split == "train" else [r.split, "held-out"])
    }


def since_loss(lines: Sequence[Entry]) -> Sequence[Entry]:
    """The lines after the newest accepted loss."""
    losses = [index for index, line in enumerate(lines) if line.kind == LOSS]
    return lines[losses[-1] + 1 :] if losses else lines


def rounds_by_run(lines: Sequence[Entry]) -> dict[str, int]:
    """Run -> how many of its rounds were charged, as the journal knows it, the coordinator's
    word included."""
    rounds: dict[str, set[int]] = {}
    told: dict[str, int] = {}
    for line in lines:
        facts = _facts(line)
        run = str(facts.get("run", ""))
        if line.kind == _UPDATE:
            rounds.setdefault(run, set()).add(int(facts["round"]))
        elif line.kind == CONTRADICTED:
            told[run] = max(told.get(run, 0), int(facts["told"]))
    return {
        run: max(len(rounds.get(run, ())), told.get(run, 0)) for run in sorted({*rounds, *told})
    }


def contradictions(lines: Sequence[Entry], history: History) -> list[str]:
    """Runs of which a coordinator says that more rounds were charged than the ledger knows."""
    told = {
        str(facts["run"]): int(facts["told"])
        for facts in (_facts(line) for line in since_loss(lines) if line.kind == CONTRADICTED)
    }
    return [
        f"the coordinator says that {rounds} rounds of run {plain(run)} were charged here, and the "
        f"ledger knows of {history.rounds_charged(run)}: if it is an older copy, put the newest "
        "back; if it was lost, see `irene-client ledger accept-loss --help`"
        for run, rounds in told.items()
        if rounds > history.rounds_charged(run)
    ]


def check_coordinator(request: TrainRequest, history: History, journal: Journal | None) -> None:
    """Raise LedgerBehind where the coordinator was told of more rounds than `history` knows.

    It is noted in `journal` once, for `status` and `ledger accept-loss`. Of other runs the
    coordinator's word says nothing: they go on.
    """
    run, told, known = request.run, request.rounds_charged, history.rounds_charged(request.run)
    if told <= known:
        return
    if journal is not None:
        noted = [_facts(line) for line in journal.entries() if line.kind == CONTRADICTED]
        if not any(facts["run"] == run and facts["told"] >= told for facts in noted):
            journal.append(CONTRADICTED, who=f"run {run}", run=run, told=told, known=known)
    raise LedgerBehind(
        f"the message says that {told} rounds of this run were charged here, and the site's ledger "
        f"knows of {known}: it was lost or is an older copy; nothing was trained, and the site's "
        "people have to put the newest ledger back or accept the loss"
    )


def _check_mark(mark: Head | None, lines: Sequence[Entry]) -> None:
    if mark is None:
        return
    if mark.sequence > len(lines):
        raise ValueError(
            f"its journal lacks the lines {len(lines) + 1} to {mark.sequence}: it was lost, cut or "
            "is an older copy"
        )
    if lines[mark.sequence - 1].hash != mark.hash:
        raise ValueError(f"line {mark.sequence} of its journal is not the one that the ledger saw")


def _was_charged(line: Entry) -> bool:
    """Whether it is a release that a ledger has: exact counts are charged to none."""
    noised = _facts(line).get("noise_multiplier") != 0
    return line.kind == _UPDATE or (line.kind == _EVALUATION and noised)


def _facts(line: Entry) -> Mapping[str, Any]:
    facts: dict[str, Any] = json.loads(line.content)
    return facts
