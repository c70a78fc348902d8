"""How far a run has come, read from its folder while another process writes it. Never writes.

A last line that is only half written, a file that is being replaced, a folder that is not a run's:
none of these stop the reader. What can't be read is said, and the rest is shown.
"""

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from irene_model.console import known
from irene_model.errors import ConfigError
from irene_model.study import Study
from server.runs import (
    CANCELLED,
    JsonMapping,
    clean,
    end_of,
    is_line,
    moment,
    read_json,
    read_lines,
    sentence,
)
from server.watch.site_progress import SiteProgress, asked_epsilon, settled_epsilons, site_progress

State = Literal["finished", "stopped", "cancelled", "running", "waiting", "silent", "unreadable"]

_SPARE_S = 180.0  # greetings, evaluation and polling of both ends, besides the deadlines


@dataclass(frozen=True, kw_only=True)
class RunProgress:
    """One run's folder at one moment.

    state: `waiting` is for enough sites. `silent` is a run that should be at work and has written
    nothing for longer than a round's messages may take. detail: why it stopped, waits, or can't be
    read. done, rounds: rounds with a checkpoint, and those of the study.
    asked_epsilon: what the study may cost any one patient in the run; None where it names none.
    lost: rounds whose checkpoints were damaged and whose updates no site can send again.
    colluding: sites that may collude with the coordinator under secure sums; None without them.
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
    colluding: int | None = None
    sites: tuple[SiteProgress, ...] = ()
    lines: tuple[JsonMapping, ...] = ()

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
        sites = read_json(place / "enrolled.json")["sites"]
        return tuple(sorted(map(str, sites)))
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def read_progress(folder: Path, *, now: datetime, expected: Sequence[str] = ()) -> RunProgress:
    """The run in `folder`; `expected` names sites that are enrolled, to be shown in any case."""
    try:
        info = read_json(folder / "run.json")
        study = Study.read(folder / "study.yaml")
    except (ConfigError, OSError, ValueError) as error:
        said = str(error) if isinstance(error, ConfigError) else "run.json can't be read"
        return RunProgress(
            name=folder.name, folder=folder, state="unreadable", detail=said, study="", arm=""
        )
    lines = read_lines(folder / "rounds.jsonl")
    started, news = moment(info.get("started")), _newest(folder)
    pace = seconds_a_round(lines)
    done = max((line["round"] for line in lines if line.get("checkpoint")), default=0)
    cancelled = _cancelled(folder)
    state = "cancelled" if cancelled else _state(info, study, news, now)
    settled = settled_epsilons(folder, info)
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
        ended=moment(info.get("finished")),
        done=done,
        rounds=study.federation.rounds,
        seconds_a_round=pace,
        expected_end=(
            _expected_end(lines, study.federation.rounds - done, pace, now)
            if state == "running"
            else None
        ),
        asked_epsilon=asked_epsilon(study),
        lost=_lost(info),
        colluding=study.federation.secure.colluding if study.federation.secure else None,
        sites=tuple(
            site_progress(name, lines, waiting, settled.get(name, {})) for name in sorted(named)
        ),
        lines=tuple(lines),
    )


def seconds_a_round(lines: Sequence[JsonMapping]) -> float | None:
    """The median time from one round's start to the next one's; None before the first.

    The median passes over a night between a stop and a resumption.
    """
    starts = [moment(line.get("started")) for line in lines]
    gaps = [
        (after - before).total_seconds()
        for before, after in itertools.pairwise(starts)
        if before is not None and after is not None
    ]
    if not gaps:
        own = [known(line.get("seconds")) or 0.0 for line in lines]
        return own[-1] if own else None
    return statistics.median(gaps[-20:])


def _expected_end(
    lines: Sequence[JsonMapping], left: int, pace: float | None, now: datetime
) -> datetime | None:
    begun = end_of(lines[-1]) if lines else None
    if pace is None or begun is None:
        return None
    try:  # A round that takes longer than the others moves the end as it goes on.
        ahead = timedelta(seconds=pace * max(0, left - 1))
        return max(begun + timedelta(seconds=pace), now) + ahead
    except OverflowError:  # beyond the year 9999
        return None


def _state(info: JsonMapping, study: Study, news: datetime | None, now: datetime) -> State:
    if info.get("finished"):
        return "finished"
    if info.get("stopped"):
        return "stopped"
    # A round trains and evaluates, each within the deadline, and may greet sites before.
    patience_s = 3 * study.federation.round_deadline_s + _SPARE_S
    if news is None or (now - news).total_seconds() > patience_s:
        return "silent"
    return "waiting" if _waiting(info) else "running"


def _lost(info: JsonMapping) -> tuple[int, ...]:
    told = info.get("lost_rounds")
    return tuple(n for n in told if isinstance(n, int)) if isinstance(told, list) else ()


def _cancelled(folder: Path) -> str:
    """By whom and when; empty for a run that was not."""
    told: JsonMapping = {}
    try:
        told = read_json(folder / CANCELLED)
    except FileNotFoundError:
        return ""
    except (OSError, ValueError):
        pass
    return f"by {told.get('who', 'somebody')} on {told.get('time', 'an unknown day')}"


def _waiting(info: JsonMapping) -> JsonMapping:
    """What run.json says of a round that has too few updates; nothing where none waits."""
    told = info.get("waiting")
    if not isinstance(told, dict):
        return {}
    whole = is_line({"round": told.get("round"), "sites": told.get("sites")})
    return clean(told) if whole else {}


def _newest(folder: Path) -> datetime | None:
    """When the run last wrote something."""
    times = []
    for name in ("run.json", "rounds.jsonl", "checkpoints", "results.json"):
        try:
            times.append((folder / name).stat().st_mtime)
        except FileNotFoundError:
            continue
    return datetime.fromtimestamp(max(times), UTC) if times else None
