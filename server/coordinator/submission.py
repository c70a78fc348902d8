"""A run, from its submission to its end, as the coordinator's command line sees it.

Flower runs the ServerApp; this side hands it a run configuration, reads the run's folder while it
grows, and asks Flower how the run stands. A run whose process vanished is submitted again by
itself: it goes on after the last round that has a checkpoint.
"""

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from irene_model.errors import ConfigError, IreneError
from irene_model.operations import running, supervisor_of
from irene_model.study import Study, is_run_name, one_line
from server.coordinator.control import Control, ControlError, RunStatus
from server.coordinator.coordinator import Coordinator, account
from server.coordinator.enrolment import Enrolment
from server.runs import Json, clean

Observe = Callable[[Json], None]
Say = Callable[[str], None]

_POLL_S = 0.5
_LOOK_S = 10.0  # asking Flower costs a second of a core
_LOSSES = 3  # in a row, without a new round in between
_SUBMITTED = "run submitted"


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What a run is asked for with. All paths are absolute; `start_*` may be None."""

    name: str
    folder: Path
    study: Path
    seed: int = 0
    start_image: Path | None = None
    start_text: Path | None = None

    def config(self, coordinator: Coordinator) -> dict[str, str | int]:
        """The run configuration: at first, all enrolled sites are waited for."""
        return {
            "study": str(self.study),
            "out": str(self.folder),
            "seed": self.seed,
            "sites": len(Enrolment.read(coordinator.enrolled).sites),
            "enrolled": str(coordinator.enrolled),
            "start-image": str(self.start_image or ""),
            "start-text": str(self.start_text or ""),
        }

    @property
    def begun(self) -> bool:
        """Whether the folder holds a run that can be gone on with."""
        return (self.folder / "run.json").is_file()

    @property
    def rounds(self) -> list[Json]:
        """The whole lines of rounds.jsonl so far."""
        try:
            text = (self.folder / "rounds.jsonl").read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        return [clean(json.loads(line)) for line in text[: text.rfind("\n") + 1].splitlines()]


def new_run(
    coordinator: Coordinator,
    study_file: Path,
    *,
    name: str | None,
    seed: int,
    start_image: Path | None = None,
    start_text: Path | None = None,
) -> Submission:
    """A run of the study in `study_file`, in a folder that is not there yet.

    Without `name` it is called after the study and the time. Raises ConfigError for what could not
    become a run: a bad study, too few sites, a name that is taken.
    """
    study = Study.read(study_file)
    enrolled, needed = len(Enrolment.read(coordinator.enrolled).sites), study_minimum(study)
    if enrolled < needed:
        raise ConfigError(
            f"{study_file}: asks for at least {needed} sites and {enrolled} enrolled here, by its "
            f"federation.minimum_sites and its strategy {study.federation.strategy}; see "
            "irene-server enroll --help"
        )
    if name is None:
        stem = re.sub(r"[^a-z0-9]+", "-", study.name.lower()).strip("-")[:60] or "run"
        name = f"{stem}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    folder = _folder(coordinator, name)
    if folder.exists():
        raise ConfigError(f"--name {name}: {folder} exists; use --resume {name}, or another name")
    for option, path in (("--start-image", start_image), ("--start-text", start_text)):
        if path is not None and not path.exists():
            raise ConfigError(f"{option}: {path}: no such file or folder")
    return Submission(
        name=name,
        folder=folder,
        study=study_file.resolve(),
        seed=seed,
        start_image=start_image.resolve() if start_image else None,
        start_text=start_text.resolve() if start_text else None,
    )


def begun_run(coordinator: Coordinator, name: str, study_file: Path | None) -> Submission:
    """The run of that name, to go on with; `study_file`, where given, must say the same as it did.

    Raises ConfigError where there is no such run, or it has finished.
    """
    folder = _folder(coordinator, name)
    submission = Submission(name=name, folder=folder, study=folder / "study.yaml")
    if not submission.begun:
        others = sorted(path.parent.name for path in coordinator.runs.glob("*/run.json"))
        raise ConfigError(
            f"--resume {name}: no run of that name has begun here; "
            f"{', '.join(others) or 'none'} has"
        )
    if (folder / "results.json").is_file() and (folder / "report.html").is_file():
        raise ConfigError(f"--resume {name}: has finished; its report is {folder}/report.html")
    if study_file is not None:
        given, own = Study.read(study_file), Study.read(submission.study)
        if given.fingerprint != own.fingerprint:
            raise ConfigError(
                f"{study_file}: differs from the study that {name} began with; a changed study is "
                "a new run"
            )
    return submission


def submit(coordinator: Coordinator, control: Control, submission: Submission) -> str:
    """Hand the run to Flower; returns Flower's id of it, which the journal keeps."""
    run_id = control.submit(submission.config(coordinator))
    coordinator.journal.append(
        _SUBMITTED,
        who=account(),
        run=submission.name,
        flower_run=run_id,
        study_sha256=Study.read(submission.study).fingerprint,
        rounds_done=len(submission.rounds),
    )
    return run_id


def active(coordinator: Coordinator, control: Control, name: str) -> str | None:
    """Flower's id of the run of that name, where it has not ended yet."""
    entries = (json.loads(e.content) for e in coordinator.journal.entries() if e.kind == _SUBMITTED)
    ids = [str(entry["flower_run"]) for entry in entries if entry["run"] == name]
    if not ids:
        return None
    status = control.run(ids[-1])
    return None if status is None or status.finished else ids[-1]


def carry_out(
    coordinator: Coordinator,
    control: Control,
    submission: Submission,
    run_id: str,
    *,
    observe: Observe,
    say: Say,
) -> None:
    """Follow a submitted run to its end, and submit it again when its process vanished.

    observe: takes each new line of rounds.jsonl. say: takes one line for people. Raises IreneError
    where the run failed or was stopped.
    """
    seen, losses = len(submission.rounds), 0
    while True:
        end = _follow(coordinator, control, submission, run_id, seen=seen, observe=observe)
        losses = 1 if end.seen > seen else losses + 1
        seen = end.seen
        if not end.lost or losses > _LOSSES:
            break
        say(f"the run's process was lost ({end.lost}); going on after round {seen}")
        run_id = submit(coordinator, control, submission)
    status = end.status
    coordinator.journal.append(
        "run ended", who=account(), run=submission.name, flower_run=run_id, status=status.status
    )
    if not status.completed:
        why = "was stopped" if status.stopped else f"failed: {status.reason}"
        remedy = (
            f"go on with irene-server run {coordinator.path} --resume {submission.name}"
            if submission.begun
            else f"nothing was trained; see {coordinator.logs / 'superexec.log'}"
        )
        raise IreneError(f"run {submission.name} {why}; {remedy}")


def study_minimum(study: Study) -> int:
    """The sites without which a round of `study` waits."""
    return study.federation.needed_sites


@dataclass(frozen=True, kw_only=True)
class _End:
    """How following ended. `seen`: rounds that were observed. `lost`: why, if its process was."""

    status: RunStatus
    seen: int
    lost: str


def _follow(
    coordinator: Coordinator,
    control: Control,
    submission: Submission,
    run_id: str,
    *,
    seen: int,
    observe: Observe,
) -> _End:
    """Look until the run has ended; `seen` rounds were observed before."""
    executor, look = _executor(coordinator), time.monotonic() + _LOOK_S
    report = submission.folder / "report.html"
    while True:
        # A ServerApp dies with its SuperExec; Flower's heartbeat would tell in a minute or two.
        replaced = _executor(coordinator) not in (executor, "")
        status: RunStatus | None = None
        if replaced or time.monotonic() >= look or report.exists():
            status = _status(coordinator, control, run_id)
            look = time.monotonic() + _LOOK_S
        for line in submission.rounds[seen:]:
            observe(line)
            seen += 1
        if status is not None and status.finished:
            return _End(status=status, seen=seen, lost=status.details if status.lost else "")
        if status is not None and replaced and _stopped(control, run_id):
            return _End(status=status, seen=seen, lost="SuperExec was started again")
        time.sleep(_POLL_S)


def _stopped(control: Control, run_id: str) -> bool:
    """End what is left of a run in Flower's books, so that it is not mistaken for a living one."""
    try:
        control.stop(run_id)
    except ControlError:  # it has just ended, or the SuperLink has
        return False
    return True


def _executor(coordinator: Coordinator) -> str:
    """Which SuperExec is alive; empty while none is."""
    known = running(coordinator.state).get("superexec")
    return known.born if known is not None and known.alive else ""


def _status(coordinator: Coordinator, control: Control, run_id: str) -> RunStatus | None:
    """None while the SuperLink is being started again."""
    try:
        status = control.run(run_id)
    except ControlError:
        if supervisor_of(coordinator.state) is None:
            raise IreneError(
                f"{coordinator.path} was stopped; what is checkpointed is kept, and the run goes "
                "on with --resume after irene-server start"
            ) from None
        return None
    if status is None:
        raise IreneError(f"Flower does not know run {run_id}: was superlink.sqlite taken away?")
    return status


def _folder(coordinator: Coordinator, name: str) -> Path:
    if not is_run_name(name):
        raise ConfigError(
            f"{one_line(name)}: a run's name is at most 100 letters, digits, dots, hyphens and "
            "underscores of ASCII, the first one a letter or a digit"
        )
    return coordinator.runs / name
