"""How far a run has come, read from its folder while another process writes it. Never writes.

A last line that is only half written, a file that is being replaced, a folder that is not a run's:
none of these stop the reader. What can't be read is said, and the rest is shown.
"""

import itertools
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from irene_model.errors import ConfigError
from irene_model.study import Study
from server.runs import sentence

Json = Mapping[str, Any]
State = Literal["finished", "stopped", "cancelled", "running", "waiting", "silent", "unreadable"]
CANCELLED = "cancelled.json"
"""A note in the folder of a run that somebody ended for good, with who and time."""

_UNHEARD = ("absent", "missing")
_SPARE_S = 180.0  # greetings, evaluation and polling of both ends, besides the deadlines


@dataclass(frozen=True, kw_only=True)
class SiteProgress:
    """One site's part of a run.

    outcomes: its outcome in each line of the run, None where the line doesn't name it. outcome,
    reason: the newest. last_seen: the end of the last round in which something came from it.
    epsilon: spent in this run at the study's delta, by RDP while it goes on; at its end, and then
    `settled`, the smaller bound of results.json. None where unknown or without noise.
    """

    name: str
    outcomes: tuple[str | None, ...]
    outcome: str | None
    reason: str
    last_seen: datetime | None
    epsilon: float | None
    settled: bool
    bytes_up: int

    def left(self, asked: float | None) -> float | None:
        """What is left of the run's `asked` epsilon, never below 0; None where unknown.

        A site that gave nothing yet has all of it.
        """
        return None if asked is None else max(0.0, asked - (self.epsilon or 0.0))


@dataclass(frozen=True, kw_only=True)
class RunProgress:
    """One run's folder at one moment.

    state: `waiting` is for enough sites. `silent` is a run that should be at work and has written
    nothing for longer than a round's messages may take. detail: why it stopped, waits, or can't be
    read. done, rounds: rounds with a checkpoint, and those of the study.
    asked_epsilon: what the study may cost any one patient in the run; None where it names none.
    lost: rounds whose checkpoints were damaged and whose updates no site can send again.
    """

    name: str
    folder: Path
    state: State
    detail: str
    study: str
    arm: str
    labels: tuple[str, ...] = ()
    started: datetime | None = None
    last_news: datetime | None = None
    ended: datetime | None = None
    done: int = 0
    rounds: int = 0
    seconds_a_round: float | None = None
    expected_end: datetime | None = None
    asked_epsilon: float | None = None
    lost: tuple[int, ...] = ()
    sites: tuple[SiteProgress, ...] = ()
    lines: tuple[Json, ...] = ()

    @property
    def active(self) -> bool:
        """Whether more rounds are to come without anyone doing anything."""
        return self.state in ("running", "waiting", "silent")


def run_folders(place: Path) -> list[Path]:
    """The runs in a coordinator's folder, or in any folder of runs, or the one that `place` is.

    The newest comes first, by the time of its run.json.
    """
    if (place / "run.json").exists():
        return [place]
    home = place / "runs" if (place / "runs").is_dir() else place
    dated = []
    for marker in home.glob("*/run.json"):
        try:
            dated.append((marker.stat().st_mtime, marker.parent))
        except FileNotFoundError:
            continue  # moved away meanwhile
    return [folder for _, folder in sorted(dated, reverse=True)]


def enrolled_names(place: Path) -> tuple[str, ...]:
    """The sites that enrolled.json in `place` names, in order; none where it can't be read."""
    try:
        sites = _read_json(place / "enrolled.json")["sites"]
        return tuple(sorted(map(str, sites)))
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def read_progress(folder: Path, *, now: datetime, expected: Sequence[str] = ()) -> RunProgress:
    """The run in `folder`; `expected` names sites that are enrolled, to be shown in any case."""
    try:
        info = _read_json(folder / "run.json")
        study = Study.read(folder / "study.yaml")
    except (ConfigError, OSError, ValueError) as error:
        said = str(error) if isinstance(error, ConfigError) else "run.json can't be read"
        return RunProgress(
            name=folder.name, folder=folder, state="unreadable", detail=said, study="", arm=""
        )
    lines = read_lines(folder / "rounds.jsonl")
    started, news = _moment(info.get("started")), _newest(folder)
    pace = seconds_a_round(lines)
    done = max((line["round"] for line in lines if line.get("checkpoint")), default=0)
    cancelled = _cancelled(folder)
    state = "cancelled" if cancelled else _state(info, study, news, now)
    settled = _settled(folder, info)
    waiting = _waiting(info) if state == "waiting" else {}
    named = dict.fromkeys(
        [*expected, *(site for line in lines for site in line["sites"]), *waiting.get("sites", ())]
    )
    return RunProgress(
        name=folder.name,
        folder=folder,
        state=state,
        detail=cancelled or (sentence(waiting) if waiting else str(info.get("stopped") or "")),
        study=study.name,
        arm=str(info.get("arm", "")),
        labels=study.labels,
        started=started,
        last_news=news,
        ended=_moment(info.get("finished")),
        done=done,
        rounds=study.federation.rounds,
        seconds_a_round=pace,
        expected_end=(
            _expected_end(lines, study.federation.rounds - done, pace, now)
            if state == "running"
            else None
        ),
        asked_epsilon=_asked(study),
        lost=_lost(info),
        sites=tuple(_site(name, lines, waiting, settled.get(name)) for name in sorted(named)),
        lines=tuple(lines),
    )


def read_lines(path: Path) -> list[Json]:
    """The whole lines of rounds.jsonl; the rest after the first that is not one is left out."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    lines: list[Json] = []
    for written in text.splitlines():
        try:
            line = json.loads(written)
        except ValueError:
            break
        if not _is_line(line):
            break
        lines.append(line)
    return lines


def _is_line(line: Any) -> bool:
    if not (isinstance(line, dict) and isinstance(line.get("round"), int)):
        return False
    sites = line.get("sites")
    return isinstance(sites, dict) and all(
        isinstance(entry, dict) and isinstance(entry.get("outcome"), str)
        for entry in sites.values()
    )


def seconds_a_round(lines: Sequence[Json]) -> float | None:
    """The median time from one round's start to the next one's; None before the first.

    It holds the evaluation, which a line's `seconds` do not. The median passes over a night between
    a stop and a resumption.
    """
    starts = [_moment(line.get("started")) for line in lines]
    gaps = [
        (after - before).total_seconds()
        for before, after in itertools.pairwise(starts)
        if before is not None and after is not None
    ]
    if not gaps:
        own = [float(line.get("seconds") or 0.0) for line in lines]
        return own[-1] if own else None
    return statistics.median(gaps[-20:])


def _expected_end(
    lines: Sequence[Json], left: int, pace: float | None, now: datetime
) -> datetime | None:
    begun = _end(lines[-1]) if lines else None
    if pace is None or begun is None:
        return None
    # A round that takes longer than the others moves the end as it goes on.
    return max(begun + timedelta(seconds=pace), now) + timedelta(seconds=pace * max(0, left - 1))


def _state(info: Json, study: Study, news: datetime | None, now: datetime) -> State:
    if info.get("finished"):
        return "finished"
    if info.get("stopped"):
        return "stopped"
    # A round trains and evaluates, each within the deadline, and may greet sites before.
    patience = timedelta(seconds=3 * study.federation.round_deadline_s + _SPARE_S)
    if news is None or now - news > patience:
        return "silent"
    return "waiting" if _waiting(info) else "running"


def _lost(info: Json) -> tuple[int, ...]:
    told = info.get("lost_rounds")
    return tuple(n for n in told if isinstance(n, int)) if isinstance(told, list) else ()


def _cancelled(folder: Path) -> str:
    """By whom and when; empty for a run that was not."""
    try:
        told = _read_json(folder / CANCELLED)
    except FileNotFoundError:
        return ""
    except (OSError, ValueError):
        told = {}
    return f"by {told.get('who', 'somebody')} on {told.get('time', 'an unknown day')}"


def _waiting(info: Json) -> Json:
    """What run.json says of a round that has too few updates; nothing where none waits."""
    told = info.get("waiting")
    if not isinstance(told, dict):
        return {}
    return told if _is_line({"round": told.get("round"), "sites": told.get("sites")}) else {}


def _site(name: str, lines: Sequence[Json], waiting: Json, settled: float | None) -> SiteProgress:
    entries: list[Json] = [line["sites"].get(name, {}) for line in lines]
    evaluated = [
        ((line.get("evaluation") or {}).get("sites") or {}).get(name, {}) for line in lines
    ]
    heard = [
        line
        for line, entry in zip(lines, entries, strict=True)
        if entry and entry["outcome"] not in _UNHEARD
    ]
    late = [each for line in lines for each in line.get("late") or () if each.get("site") == name]
    newest: Json = waiting.get("sites", {}).get(name) or (entries[-1] if entries else {})
    told = (*entries, *evaluated, *late, newest)
    spent = [entry["epsilon"] for entry in told if entry.get("epsilon")]
    return SiteProgress(
        name=name,
        outcomes=tuple(entry.get("outcome") for entry in entries),
        outcome=newest.get("outcome"),
        reason=str(newest.get("reason") or ""),
        last_seen=_end(heard[-1]) if heard else None,
        epsilon=max(spent, default=None) if settled is None else settled,
        settled=settled is not None,
        bytes_up=sum(entry.get("bytes_up") or 0 for entry in entries),
    )


def _asked(study: Study) -> float | None:
    """The larger one of training's and evaluation's: they touch different patients."""
    both = (study.privacy, study.evaluation_noise)
    asked = [each.epsilon for each in both if each.noise_multiplier is None]
    return max((each for each in asked if each is not None), default=None)


def _settled(folder: Path, info: Json) -> Mapping[str, float]:
    """Each site's epsilon as results.json gives it, once that is there."""
    try:
        privacy = _read_json(folder / "results.json")["arms"][info["arm"]]["privacy"]
        return {name: float(spent["epsilon"]) for name, spent in privacy.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _end(line: Json) -> datetime | None:
    start = _moment(line.get("started"))
    return start and start + timedelta(seconds=float(line.get("seconds") or 0.0))


def _newest(folder: Path) -> datetime | None:
    """When the run last wrote something."""
    times = []
    for name in ("run.json", "rounds.jsonl", "checkpoints", "results.json"):
        try:
            times.append((folder / name).stat().st_mtime)
        except FileNotFoundError:
            continue
    return datetime.fromtimestamp(max(times), UTC) if times else None


def _moment(stamp: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(stamp)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _read_json(path: Path) -> Json:
    document = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict):
        raise ValueError
    return document
