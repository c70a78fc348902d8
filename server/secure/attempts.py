"""attempts.jsonl: every attempt at a secure sum, written before anybody is asked.

A number is never used twice within a round and what is asked in it, also not by a server that was
started anew: sites would refuse it, and one that did not would mask another vector with the same
masks. An attempt has a line when it begins and a second one when it is over; one without a second
line was cut off, and counts as if all its sites had sent.
"""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from irene_model.errors import CheckpointError
from irene_model.journal import sync
from irene_model.study import MOST_ROUNDS
from server.runs import clear_of_disk_errors, now

NAME = "attempts.jsonl"
Json = dict[str, Any]
_BEGUN, SUMMED, ABORTED, REFUSED = "begun", "summed", "aborted", "refused"


class Attempts:
    """The file of one run, open for writing by one process."""

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        """folder: the run's; durable: as it is (`RunFolder.durable`).

        Raises CheckpointError for a file that is damaged but at its end.
        """
        self._path, self._durable = folder / NAME, durable
        self._known: dict[tuple[str, int], dict[int, Json]] = {}
        for record in self._read():
            self._keep(record)

    def begin(self, what: str, round: int, partners: Sequence[str]) -> Json:
        """A new attempt's record, on disk when this returns; `attempt` is its number, from 1."""
        number = max(self._known.get((what, round), ()), default=0) + 1
        if number > MOST_ROUNDS:
            raise CheckpointError(f"{self._path}: round {round} has no number left for an attempt")
        record = {
            "what": what,
            "round": round,
            "attempt": number,
            "partners": sorted(partners),
            "started": now(),
            "outcome": _BEGUN,
        }
        self._append(record)
        return record

    def end(
        self,
        record: Json,
        outcome: str,
        *,
        blamed: dict[str, str] | None = None,
        spared: Sequence[str] = (),
        reason: str = "",
    ) -> Json:
        """Note what became of an attempt that `begin` gave.

        blamed: why it has no sum, by site. spared: sites that surely were charged nothing.
        """
        ended = {
            **record,
            "outcome": outcome,
            "blamed": dict(blamed or {}),
            "spared": sorted(spared),
            "reason": reason,
        }
        self._append(ended)
        return ended

    def of(self, what: str, round: int) -> list[Json]:
        """The attempts at one sum, in their order."""
        return list(self._known.get((what, round), {}).values())

    def all(self) -> list[Json]:
        """Every attempt as it is known now; those at one sum together, in their order."""
        return [record for numbers in self._known.values() for record in numbers.values()]

    def _append(self, record: Json) -> None:
        created = not self._path.exists()
        with (
            clear_of_disk_errors(self._path.parent),
            self._path.open("a", encoding="utf-8") as file,
        ):
            file.write(json.dumps(record) + "\n")
            file.flush()
            if self._durable:
                os.fsync(file.fileno())
        if created and self._durable:
            sync(self._path.parent)
        self._keep(record)

    def _keep(self, record: Json) -> None:
        self._known.setdefault((record["what"], record["round"]), {})[record["attempt"]] = record

    def _read(self) -> Iterator[Json]:
        """The file's records; a last line that a crash cut off is taken away: nobody was asked."""
        if not self._path.exists():
            return
        text = self._path.read_text(encoding="utf-8", errors="replace")
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            with clear_of_disk_errors(self._path.parent), self._path.open("r+b") as file:
                file.truncate(len(whole.encode()))
                os.fsync(file.fileno())
        for number, line in enumerate(whole.splitlines(), start=1):
            record = _parsed(line)
            if record is None:
                raise CheckpointError(
                    f"{self._path}, line {number}: is damaged, and without it a number could be "
                    "used twice; restore the file"
                )
            yield record


def _parsed(line: str) -> Json | None:
    """The record in a line; None where it is none."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    match record:
        case {
            "what": str(),
            "round": int(),
            "attempt": int(attempt),
            "partners": [*partners],
            "outcome": str(),
        } if 1 <= attempt <= MOST_ROUNDS and partners and all(isinstance(p, str) for p in partners):
            return dict(record)
    return None
