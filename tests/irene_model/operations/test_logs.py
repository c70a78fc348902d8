"""A log that a service writes for months takes up no more than twice what it may."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from irene_model.operations import supervisor
from irene_model.operations.supervisor import Service, Supervisor, put_aside

PROGRAM = """
import os, sys
from pathlib import Path
from irene_model.operations import supervisor
supervisor._LARGEST_LOG, supervisor._LOGS_S = 20_000, 0.0
state = Path(sys.argv[1])
talk = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.0005; done"
service = supervisor.Service(
    name="talker", command=("/bin/sh", "-c", talk), environment=dict(os.environ),
    log=state / "talker.log",
)
supervisor.Supervisor(services=[service], state=state, observe=lambda _: None).run()
"""


def test_a_service_that_talks_for_ever_is_cut_while_it_talks(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)])
    aside, log = tmp_path / "talker.log.1", tmp_path / "talker.log"
    try:
        deadline = time.monotonic() + 60
        while not aside.exists() or aside.stat().st_size < 20_000 or not log.stat().st_size:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.terminate()
        process.wait(30)
    assert aside.stat().st_mode & 0o777 == 0o600
    lines = log.read_bytes().splitlines()
    assert lines[-1].startswith(b"line ") and b"\0" not in log.read_bytes()
    assert int(lines[-1].split()[1]) > int(aside.read_text().splitlines()[-2].split()[1])


def test_a_small_log_and_a_missing_one_are_left(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    put_aside(log)
    log.write_text("few words")
    put_aside(log)
    assert (log.read_text(), list(tmp_path.iterdir())) == ("few words", [log])


def test_a_disk_that_is_full_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(supervisor, "put_aside", full)
    service = Service(
        name="a", command=("true",), environment=dict(os.environ), log=tmp_path / "a.log"
    )
    Supervisor(services=[service], state=tmp_path, observe=lambda _: None)._look_at_logs()
