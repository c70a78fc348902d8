"""What the coordinator's journal says of its runs: submitted, taken up again, ended, cancelled."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from irene_model.journal import Fact
from server.coordinator.coordinator import Coordinator, account
from server.runs import KEPT

_SUBMITTED, _ENDED, _CANCELLED = "run submitted", "run ended", "run cancelled"


@dataclass(frozen=True, kw_only=True)
class Handed:
    """One time that a run was handed to Flower.

    flower_run: Flower's id of it. executor: which SuperExec was alive then, "" if unknown. lost:
    why it was taken up again, "" where somebody asked for it. study and what follows: what it was
    asked for with; study is None in the records of older versions.
    """

    flower_run: str
    rounds_done: int = 0
    time: str = ""
    executor: str = ""
    lost: str = ""
    study: str | None = None
    seed: int = 0
    start_image: str = ""
    start_text: str = ""
    start_irene: str = ""
    keep_checkpoints: int = KEPT


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run. ended: how the newest submission did, by Flower's word. cancelled: by whom, when."""

    name: str
    handed: tuple[Handed, ...] = field(default=())
    ended: str | None = None
    cancelled: str | None = None

    @property
    def newest(self) -> Handed:
        """The submission that counts."""
        return self.handed[-1]

    @property
    def open(self) -> bool:
        """Whether it should be at work."""
        return bool(self.handed) and self.ended is None and self.cancelled is None

    def losses(self, rounds_done: int) -> int:
        """How often in a row it was taken up again and came no further than `rounds_done`."""
        count = 0
        for each in reversed(self.handed):
            if not each.lost or each.rounds_done != rounds_done:
                break
            count += 1
        return count


def read_records(coordinator: Coordinator) -> dict[str, RunRecord]:
    """All runs by name, in the order of their first submission. DataError: a damaged journal."""
    found: dict[str, RunRecord] = {}
    for entry in coordinator.journal.entries():
        if entry.kind not in (_SUBMITTED, _ENDED, _CANCELLED):
            continue
        facts = json.loads(entry.content)
        record = found.get(facts["run"], RunRecord(name=facts["run"]))
        found[record.name] = _after(record, entry.kind, facts)
    return found


def read_record(coordinator: Coordinator, name: str) -> RunRecord:
    """The run of that name; an empty record where it was never submitted."""
    return read_records(coordinator).get(name, RunRecord(name=name))


def note_submitted(coordinator: Coordinator, name: str, **facts: Fact) -> None:
    """Keep that the run was handed to Flower."""
    coordinator.journal.append(_SUBMITTED, who=account(), run=name, **facts)


def note_ended(coordinator: Coordinator, name: str, flower_run: str, status: str) -> None:
    """Keep how it ended, once, however many processes see it end."""
    record = read_record(coordinator, name)
    if record.open and record.newest.flower_run == flower_run:
        facts = {"run": name, "flower_run": flower_run, "status": status}
        coordinator.journal.append(_ENDED, who=account(), **facts)


def note_cancelled(coordinator: Coordinator, name: str) -> None:
    """Keep that somebody ended it for good."""
    coordinator.journal.append(_CANCELLED, who=account(), run=name)


def _after(record: RunRecord, kind: str, facts: dict[str, Any]) -> RunRecord:
    if kind == _SUBMITTED:
        known = _known(facts, Handed.__dataclass_fields__)
        handed = Handed(**{**known, "flower_run": str(facts["flower_run"])})
        return replace(record, handed=(*record.handed, handed), ended=None)
    if kind == _ENDED:
        return replace(record, ended=str(facts.get("status", "")))
    return replace(record, cancelled=f"by {facts.get('who')} on {facts.get('time')}")


def _known(facts: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: facts[name] for name in names if name in facts}
