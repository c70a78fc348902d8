"""What a run wrote into its folder, as it is read again: JSON without NaN, and whole lines.

Python writes and reads NaN and Infinity in JSON, and 1e999 becomes one. Nobody who draws or prints
can use them: here they are null, like what is not known.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from irene_model.console import known
from server.runs.line_bounds import clean

Json = dict[str, Any]
JsonMapping = Mapping[str, Any]
CANCELLED = "cancelled.json"
"""A note in the folder of a run that somebody ended for good, with who and time."""


def loads(text: str) -> Any:
    """JSON of finite numbers; ValueError where `text` is none."""
    return json.loads(
        text,
        parse_float=lambda written: known(float(written)),
        parse_int=lambda written: int(written) if known(int(written)) is not None else None,
        parse_constant=lambda _: None,
    )


def read_json(path: Path) -> JsonMapping:
    """The object in the file at `path`; ValueError where there is none in it."""
    document = loads(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict):
        raise ValueError
    return document


def read_lines(path: Path) -> list[JsonMapping]:
    """The whole lines of rounds.jsonl; the rest after the first that is not one is left out."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    lines: list[JsonMapping] = []
    for written in text.splitlines():
        try:
            line = loads(written)
        except ValueError:
            break
        if not is_line(line):
            break
        lines.append(clean(line))
    return lines


def is_line(line: Any) -> bool:
    """Whether `line` names a round and what became of each of its sites."""
    if not (isinstance(line, dict) and isinstance(line.get("round"), int)):
        return False
    sites = line.get("sites")
    return isinstance(sites, dict) and all(
        isinstance(entry, dict) and isinstance(entry.get("outcome"), str)
        for entry in sites.values()
    )


def epsilon_in(told: JsonMapping, key: str = "epsilon") -> float | None:
    """The epsilon that a site's entry, or its part of results.json, names; never below 0."""
    epsilon = known(told.get(key))
    return None if epsilon is None else max(0.0, epsilon)


def moment(stamp: Any) -> datetime | None:
    """A time as ISO 8601 writes it, in UTC where it names no zone."""
    try:
        found = datetime.fromisoformat(stamp)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def end_of(line: JsonMapping) -> datetime | None:
    """When the round of `line` was over, with its evaluation if it had one."""
    start = moment(line.get("started"))
    try:
        return start and start + timedelta(seconds=known(line.get("seconds")) or 0.0)
    except OverflowError:
        return None
