"""The kill drills, short; `python -m tests.drills.kill_drill` and `attempt_drill` run long ones."""

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("drill", ["kill_drill", "attempt_drill"])
def test_a_client_that_is_killed_keeps_its_ledger_and_uses_no_mask_twice(drill: str) -> None:
    """In a process of its own: it forks, and pytest's process may hold threads."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.drills.{drill}", "--kills", "25", "--seed", "7"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "25 kills" in done.stdout and "no fault" in done.stdout
