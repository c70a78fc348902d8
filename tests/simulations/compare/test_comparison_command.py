"""Comparisons as a command of its own process: killed, gone on with, on the engine, refused."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from client.ledger.exposures import at_most, least_exposures
from client.ledger.ledger import Ledger
from simulations import cli
from simulations.hospitals.scenario import Scenario
from tests.helpers.federations.run_here import without_engine
from tests.helpers.federations.watched_comparison import run, stamps
from tests.helpers.small_scenario import SCENARIO


def command(out: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from simulations.cli import main; main()", "compare", *arguments],
        cwd=out.parent,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.slow
def test_after_kill_9_the_same_command_goes_on(
    compared: Path, scenario: Scenario, tmp_path: Path
) -> None:
    path, out = tmp_path / "scenario.yaml", tmp_path / "out"
    path.write_text(yaml.safe_dump(scenario.model_dump(mode="json")), encoding="utf-8")
    arguments = ["scenario.yaml", "--out", "out", "--arms", "central,local", "--seeds", "2",
                 "--parallel", "2"]  # fmt: skip
    first = command(out, *arguments)
    deadline = time.monotonic() + 300
    while not stamps(out) and time.monotonic() < deadline:
        assert first.poll() is None, first.communicate()
        time.sleep(0.05)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    while time.monotonic() < deadline:  # its workers end by themselves
        try:
            os.killpg(first.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.2)
    else:
        raise AssertionError("a worker outlived its parent")
    kept = stamps(out)
    assert 0 < len(kept) < 6
    second = command(out, *arguments)
    printed, said = second.communicate(timeout=600)
    assert second.returncode == 0, said
    assert "local-south/irene" in printed and str(Path("out") / "report.html") in printed
    assert {name: stamps(out)[name] for name in kept} == kept
    results, expected = (
        json.loads((folder / "results.json").read_text())["arms"] for folder in (out, compared)
    )
    for row in expected:  # several processes train what one would
        assert results[row]["auroc"]["macro"] == pytest.approx(
            expected[row]["auroc"]["macro"], abs=5e-3
        )


@pytest.mark.slow
def test_a_killed_worker_is_one_line_and_exit_code_1(scenario: Scenario, tmp_path: Path) -> None:
    path, out = tmp_path / "scenario.yaml", tmp_path / "out"
    path.write_text(yaml.safe_dump(scenario.model_dump(mode="json")), encoding="utf-8")
    begun = command(out, "scenario.yaml", "--out", "out", "--arms", "local", "--seeds", "1",
                    "--parallel", "2", "--set", "federation.rounds=4000")  # fmt: skip
    deadline = time.monotonic() + 300
    while not list(out.glob("seed-0/local-*/irene")) and time.monotonic() < deadline:
        assert begun.poll() is None, begun.communicate()
        time.sleep(0.1)
    listed = subprocess.run(
        ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(begun.pid)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    workers = [int(line.split()[0]) for line in listed.splitlines() if "spawn_main" in line]
    assert workers
    os.kill(workers[0], signal.SIGKILL)
    _, said = begun.communicate(timeout=120)
    assert begun.returncode == 1
    assert said.startswith("error: a training's process was killed") and said.count("\n") == 1


@pytest.mark.slow
def test_a_federated_arm_runs_on_the_engine_with_ledgers_of_its_own_and_another_joins_it(
    scenario: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    run(scenario, out, arms=["federated-dp"], seeds=1)
    engines = stamps(out)
    without_engine(monkeypatch)  # `test_repeated_run.py` has a run without noise on the engine
    results, _ = run(scenario, out, arms=["federated-dp", "federated"], seeds=1)
    assert engines and {name: stamps(out)[name] for name in engines} == engines
    private = results["arms"]["federated-dp/irene"]
    plain = results["arms"]["federated/irene"]
    assert {s["epsilon"] for s in plain["privacy"].values()} == {None}
    place = out / "seed-0" / "federated-dp" / "irene"
    for site in ("north", "south"):
        spent = private["privacy"][site]["epsilon"]
        ledger = Ledger(place / "run" / "ledgers" / f"{site}.sqlite", None)
        charged = ledger.reservations()
        assert sum(r.split == "train" for r in charged) == 2
        assert at_most(least_exposures(charged, delta=1e-3), delta=1e-3).smallest == spent
        assert 0 < spent <= 8
        assert not list((out / "seed-0" / "hospitals" / site / ".irene").glob("ledger*"))
    kept = json.loads((place / "result.json").read_text())
    written = (place / "run" / "rounds.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in written.splitlines()]
    assert kept["validation"] == {str(line["round"]): line["evaluation"]["auroc"] for line in lines}
    assert [p.name for p in (place / "run" / "checkpoints").iterdir()] == ["round-0002"]
    before = stamps(out)
    run(scenario, out, arms=["federated-dp", "federated"], seeds=1)
    assert stamps(out) == before


@pytest.mark.slow
def test_the_command_teaches_and_refuses_on_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(SCENARIO), encoding="utf-8")
    helped = command(tmp_path / "out", "--help")
    printed, _ = helped.communicate(timeout=120)
    for word in ("--arms", "--models", "--seeds", "--parallel", "reference", "Example:"):
        assert word in printed
    monkeypatch.chdir(tmp_path)
    arguments = ["compare", "scenario.yaml", "--out", "out", "--arms", "centrel"]
    monkeypatch.setattr(sys, "argv", ["irene-sim", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: --arms: there is no arm 'centrel'; did you mean 'central'?")
    assert said.count("\n") == 1 and not (tmp_path / "out").exists()
