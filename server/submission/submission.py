"""What a run is asked for with, and how it is handed to Flower.

Flower runs the ServerApp, which gets a run configuration from here and writes the run's folder.
"""

import json
import re
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from irene_model.errors import ConfigError
from irene_model.operations import running
from irene_model.study import Study, is_run_name, one_line
from server.coordinator import (
    Control,
    Coordinator,
    Enrolment,
    alone,
    check_roster,
    note_submitted,
    read_record,
)
from server.runs import KEPT, clean

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What a run is asked for with. All paths are absolute; `start_*` may be None.

    keep_checkpoints: of the newest rounds (`server.runs.checkpoint_files`).
    """

    name: str
    folder: Path
    study: Path
    seed: int = 0
    start_image: Path | None = None
    start_text: Path | None = None
    start_irene: Path | None = None
    keep_checkpoints: int = KEPT

    def config(self, coordinator: Coordinator) -> dict[str, str | int]:
        """The run configuration: at first, all enrolled sites are waited for.

        Folders that older versions made know no key of `--start` and `--keep-checkpoints`, and
        Flower refuses such a key.
        """
        later: dict[str, str | int] = {}
        if self.start_irene:
            later["start-irene"] = str(self.start_irene)
        if self.keep_checkpoints != KEPT:
            later["keep-checkpoints"] = self.keep_checkpoints
        return {
            **later,
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
    start_irene: Path | None = None,
    keep_checkpoints: int = KEPT,
) -> Submission:
    """A run of the study in `study_file`, in a folder that is not there yet.

    Without `name` it is called after the study and the time. Raises ConfigError for what could not
    become a run: a bad study, too few sites, a name that is taken.
    """
    study = Study.read(study_file)
    known = Enrolment.read(coordinator.enrolled)
    enrolled, needed = len(known.sites), study_minimum(study)
    if enrolled < needed:
        raise ConfigError(
            f"{study_file}: asks for at least {needed} sites and {enrolled} enrolled here, by its "
            f"federation.minimum_sites and its strategy {study.federation.strategy}; see "
            "irene-server enroll --help"
        )
    check_roster(study, known, study_file)
    if name is None:
        stem = re.sub(r"[^a-z0-9]+", "-", study.name.lower()).strip("-")[:60] or "run"
        name = f"{stem}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    folder = run_folder(coordinator, name)
    if folder.exists():
        raise ConfigError(f"--name {name}: {folder} exists; use --resume {name}, or another name")
    for option, path in (
        ("--start-image", start_image),
        ("--start-text", start_text),
        ("--start", start_irene),
    ):
        if path is not None and not path.exists():
            raise ConfigError(f"{option}: {path}: no such file or folder")
    if start_irene is not None:
        # Known now, and not from the log of a run that could not begin.
        _check_app(coordinator, "--start", 'start-irene = ""')
        from irene_model.weights import StartingPoint

        StartingPoint(image=start_image, text=start_text, irene=start_irene).model(study, seed=seed)
    if keep_checkpoints != KEPT:
        _check_app(coordinator, "--keep-checkpoints", f"keep-checkpoints = {KEPT}")
    return Submission(
        name=name,
        folder=folder,
        study=study_file.resolve(),
        keep_checkpoints=keep_checkpoints,
        seed=seed,
        start_image=start_image.resolve() if start_image else None,
        start_text=start_text.resolve() if start_text else None,
        start_irene=start_irene.resolve() if start_irene else None,
    )


def _check_app(coordinator: Coordinator, option: str, line: str) -> None:
    path = coordinator.app / "pyproject.toml"
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    if line.partition(" ")[0] not in document["tool"]["flwr"]["app"]["config"]:
        raise ConfigError(
            f"{option}: {path} is of an older version; add the line `{line}` to the end "
            "of its [tool.flwr.app.config]"
        )


def begun_run(coordinator: Coordinator, name: str, study_file: Path | None) -> Submission:
    """The run of that name, to go on with; `study_file`, where given, must say the same as it did.

    Raises ConfigError where there is no such run, or it has finished.
    """
    folder = run_folder(coordinator, name)
    submission = Submission(name=name, folder=folder, study=folder / "study.yaml")
    cancelled = read_record(coordinator, name).cancelled
    if cancelled is not None:
        raise ConfigError(
            f"--resume {name}: was cancelled, {cancelled}, and is not taken up again; a new run "
            "begins with irene-server run"
        )
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


def submit(
    coordinator: Coordinator, control: Control, submission: Submission, *, lost: str = ""
) -> str:
    """Hand the run to Flower; returns Flower's id of it, which the journal keeps.

    lost: why it is taken up again, where nobody asked for it.
    """
    alive = executor(coordinator)
    run_id = control.submit(submission.config(coordinator))
    note_submitted(
        coordinator,
        submission.name,
        flower_run=run_id,
        study_sha256=Study.read(submission.study).fingerprint,
        rounds_done=len(submission.rounds),
        executor=alive,
        lost=lost,
        study=str(submission.study),
        seed=submission.seed,
        start_image=str(submission.start_image or ""),
        start_text=str(submission.start_text or ""),
        start_irene=str(submission.start_irene or ""),
        keep_checkpoints=submission.keep_checkpoints,
    )
    return run_id


def begin(coordinator: Coordinator, control: Control, wanted: Submission) -> tuple[str, bool]:
    """Flower's id of the run, and whether it was submitted now rather than found at work."""
    with alone(coordinator.runs_lock):
        known = active(coordinator, control, wanted.name)
        return (submit(coordinator, control, wanted), True) if known is None else (known, False)


def active(coordinator: Coordinator, control: Control, name: str) -> str | None:
    """Flower's id of the run of that name, where it has not ended yet."""
    record = read_record(coordinator, name)
    if not record.handed:
        return None
    newest = record.newest.flower_run
    status = control.run(newest)
    return None if status is None or status.finished else newest


def study_minimum(study: Study) -> int:
    """The sites without which a round of `study` waits."""
    return study.federation.needed_sites


def executor(coordinator: Coordinator) -> str:
    """Which SuperExec is alive; empty while none is."""
    known = running(coordinator.state).get("superexec")
    return known.born if known is not None and known.alive else ""


def run_folder(coordinator: Coordinator, name: str) -> Path:
    """Where the run of that name lies; a ConfigError for what can be no run's name."""
    if not is_run_name(name):
        raise ConfigError(
            f"{one_line(name)}: a run's name is at most 100 letters, digits, dots, hyphens and "
            "underscores of ASCII, the first one a letter or a digit"
        )
    return coordinator.runs / name
