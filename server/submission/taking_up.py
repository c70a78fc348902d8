"""A run whose process was lost is handed to Flower again, once, by whoever sees it first."""

import contextlib
from pathlib import Path

from server.coordinator import (
    Control,
    ControlError,
    Coordinator,
    Handed,
    RunRecord,
    alone,
    read_record,
)
from server.submission.submission import Submission, run_folder, submit

_LOSSES = 3  # in a row, without a new round in between


def take_up(
    coordinator: Coordinator, control: Control, run: Submission, lost_run: str, *, lost: str
) -> str | None:
    """Submit `run` again, whose Flower run `lost_run` was lost for the reason `lost`.

    Gives Flower's id of what goes on now, which somebody else may have submitted; None where
    nothing does: the run has ended (`lost` is empty), was cancelled, or was lost again and again.
    """
    with alone(coordinator.runs_lock):
        record = read_record(coordinator, run.name)
        if record.cancelled is not None or not record.handed:
            return None
        if record.newest.flower_run != lost_run:
            return record.newest.flower_run
        if not lost or record.losses(len(run.rounds)) >= _LOSSES:
            return None
        with contextlib.suppress(ControlError):  # it has ended, or Flower has forgotten it
            control.stop(lost_run)  # or it is mistaken for a living one
        return submit(coordinator, control, run, lost=lost)


def handed_before(coordinator: Coordinator, record: RunRecord) -> Submission | None:
    """The run of `record`, to be submitted again; None where it never began, and how is unknown."""
    folder = run_folder(coordinator, record.name)
    begun = Submission(name=record.name, folder=folder, study=folder / "study.yaml")
    asked = next((each for each in record.handed if each.study is not None), None)
    if begun.begun or asked is None or asked.study is None:
        return begun if begun.begun else None
    return Submission(
        name=record.name,
        folder=folder,
        study=Path(asked.study),
        seed=asked.seed,
        start_image=_path(asked, "start_image"),
        start_text=_path(asked, "start_text"),
        start_irene=_path(asked, "start_irene"),
        keep_checkpoints=asked.keep_checkpoints,
    )


def _path(asked: Handed, name: str) -> Path | None:
    text: str = getattr(asked, name)
    return Path(text) if text else None
