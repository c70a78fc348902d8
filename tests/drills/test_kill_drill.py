"""The kill drills, short; `python -m tests.drills.kill_drill` and `attempt_drill` run long ones."""

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_a_client_that_is_killed_keeps_its_ledger() -> None:
    """In a process of its own: it forks, and pytest's process may hold threads."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.drills.kill_drill", "--kills", "25", "--seed", "7"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "25 kills" in done.stdout and "no fault" in done.stdout


@pytest.mark.slow
def test_a_client_that_is_killed_uses_no_mask_twice() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.drills.attempt_drill", "--kills", "25", "--seed", "7"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "25 kills" in done.stdout and "no fault" in done.stdout
