"""`irene-sim run` as a command: mistakes are one line and leave nothing, and what it shows."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulations import cli
from tests.helpers.small_scenario import write_scenario

pytestmark = pytest.mark.slow


def command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from simulations.cli import main; main()", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


MISTAKES = {
    "unknown key": (
        ["run", "scenario.yaml", "--out", "new", "--set", "privacy.epsilonn=4"],
        "study.privacy.epsilonn: unknown key; did you mean 'epsilon'?",
    ),
    "missing file": (["run", "nowhere.yaml", "--out", "new"], "nowhere.yaml: no such file"),
    "full folder": (["run", "scenario.yaml", "--out", "full"], "full: is not empty; give a new"),
    "unknown label": (
        ["run", "scenario.yaml", "--out", "new", "--set", "labels=[gout]"],
        "synthetic hospitals know none of them",
    ),
    "missing site": (
        ["run", "scenario.yaml", "--out", "new", "--set", "join=[nowhere/site.yaml]"],
        "nowhere/site.yaml: no such file",
    ),
    "no scenario": (["run", "--out", "new"], "name a scenario"),
    "no run": (["run", "--out", "new", "--resume"], "new: no run to resume"),
    "resume another": (["run", "scenario.yaml", "--out", "full", "--resume"], "give only --out"),
    "full folder for hospitals": (["hospitals", "scenario.yaml", "--out", "full"], "is not empty"),
}


def prepare(folder: Path) -> None:
    write_scenario(folder)
    (folder / "full").mkdir()
    (folder / "full" / "mine.txt").write_text("keep me")


def assert_refused(folder: Path, stderr: str, said: str) -> None:
    assert stderr.startswith("error: ") and stderr.count("\n") == 1
    assert said in stderr
    assert not (folder / "new").exists()
    assert [path.name for path in (folder / "full").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_bad_input_is_one_line_and_leaves_nothing_behind(
    tmp_path: Path,
    mistake: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments, said = MISTAKES[mistake]
    prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["irene-sim", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    assert_refused(tmp_path, capsys.readouterr().err, said)


def test_a_process_of_its_own_says_the_same(tmp_path: Path) -> None:
    arguments, said = MISTAKES["full folder"]
    prepare(tmp_path)
    done = command(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert_refused(tmp_path, done.stderr, said)


def test_the_command_shows_rounds_and_no_log_lines(tmp_path: Path) -> None:
    """A relative --out, as everyone gives it."""
    write_scenario(tmp_path)
    done = command(
        "run", "scenario.yaml", "--out", "runs/first", "--set", "federation.rounds=1",
        "--set", "cohort.patients=24", "--set", "cohort.sites=[{name: north}, {name: south}]",
        "--set", "parallel_sites=1", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "round   1  2/2 sites" in done.stdout
    assert "runs/first/report.html" in done.stdout
    assert "INFO" not in done.stdout + done.stderr
    assert "Writing model" not in done.stderr and "Loading weights" not in done.stderr
    assert (tmp_path / "runs" / "first" / "results.json").exists()
