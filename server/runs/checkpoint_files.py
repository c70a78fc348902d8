"""Where a run's checkpoints lie, a folder a round, and which of them nobody needs any more."""

import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

KEPT = 20
"""How many of the newest checkpoints a run keeps, if nobody says otherwise."""
FEWEST = 3
"""One more than the updates that a site keeps: of what damages the newest, a run can recover."""
_LEAVING = ".leaving"
_NAME = re.compile(r"round-(\d{4,})")


def place_of(folder: Path, round: int) -> Path:
    """The folder of a round's weights in `folder`, that of all checkpoints: as round-0003."""
    return folder / f"round-{round:04d}"


def rounds_in(folder: Path) -> list[int]:
    """The rounds whose checkpoints are whole, ascending: by number, since names are not as wide."""
    names = (_NAME.fullmatch(path.name) for path in folder.glob("round-*"))
    return sorted(int(name[1]) for name in names if name is not None)


def superfluous(rounds: Iterable[int], keep: int, lines: Iterable[Mapping[str, Any]]) -> list[int]:
    """Those of `rounds` that are none of the newest `keep`, not the first weights and not the best.

    lines: the run's. The best has the highest AUROC of an evaluation, the earliest of several.
    """
    reached = {line["round"]: _auroc(line) for line in lines}
    here = sorted(rounds)
    judged = {round: value for round in here if (value := reached.get(round)) is not None}
    best = max(judged, key=lambda round: (judged[round], -round), default=0)
    return [round for round in here[:-keep] if round not in (0, best)]


def remove(folder: Path, rounds: Iterable[int]) -> None:
    """Take the checkpoints of `rounds` away; one that a crash left half removed is none."""
    for round in rounds:
        place = place_of(folder, round)
        place.rename(place.with_suffix(_LEAVING))
    for leaving in folder.glob(f"round-*{_LEAVING}"):
        shutil.rmtree(leaving, ignore_errors=True)


def _auroc(line: Mapping[str, Any]) -> float | None:
    value = (line.get("evaluation") or {}).get("auroc")
    return float(value) if isinstance(value, int | float) else None
