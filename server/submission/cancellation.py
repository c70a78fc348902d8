"""`irene-server cancel`: one run ends for good, and nothing else does.

The journal's word counts for the commands and the keeper; a note in the run's folder tells those
who read the folder alone, and a server that would take the run up.
"""

import json
from datetime import UTC, datetime

from irene_model.errors import ConfigError
from server.coordinator import (
    Control,
    ControlError,
    Coordinator,
    account,
    alone,
    note_cancelled,
    read_records,
    write_private,
)
from server.runs import CANCELLED
from server.submission.submission import run_folder


def cancel(coordinator: Coordinator, control: Control, name: str) -> None:
    """End the run `name`: it is not taken up again, whoever asks.

    Raises ConfigError where there is no such run, or it has finished or was cancelled before.
    """
    folder = run_folder(coordinator, name)
    with alone(coordinator.runs_lock):
        records = read_records(coordinator)
        record = records.get(name)
        if record is None:
            raise ConfigError(f"{name}: no such run; {', '.join(records) or 'none'} was submitted")
        if (folder / "results.json").is_file():
            raise ConfigError(f"{name}: has finished; its report is {folder}/report.html")
        if record.cancelled is None:
            note_cancelled(coordinator, name)
        if folder.is_dir() and not (folder / CANCELLED).exists():
            at = datetime.now(UTC).isoformat(timespec="seconds")
            told = json.dumps({"who": account(), "time": at}) + "\n"
            write_private(folder / CANCELLED, told.encode())
        status = control.run(record.newest.flower_run)
        if status is not None and not status.finished:
            try:
                control.stop(record.newest.flower_run)
            except ControlError:  # it has ended meanwhile
                after = control.run(record.newest.flower_run)
                if after is not None and not after.finished:
                    raise
    if record.cancelled is not None:
        raise ConfigError(f"{name}: was cancelled already, {record.cancelled}")
