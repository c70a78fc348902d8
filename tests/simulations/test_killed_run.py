"""A run that is killed and resumed ends with the weights of one that was not.

It is one of made-up patients, which waits for the disk nowhere: killing it at any moment is what it
must survive. What waits for the disk, as a hospital's ledger, survives no less.
"""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from client.ledger import Ledger
from client.participant import Participant
from server.rounds.round_loop import RoundLoop
from server.runs.run_folder import RunFolder
from tests.helpers.direct_grid import exchange_with, hospital_node
from tests.helpers.hospital_folder import write_hospital
from tests.helpers.made_up_site import study_of

# What a process does that is killed; see `run_on`.
RUN = """
import sys
from pathlib import Path
from tests.simulations.test_killed_run import run_on

run, *sites = map(Path, sys.argv[1:])
run_on(run, sites)
"""


def run_on(run: Path, hospitals: list[Path]) -> None:
    """What is left of the run, with the hospitals' real clients, as a simulation has them."""
    made_up = [replace(Participant.at(site, 7), ledger=Ledger.of_made_up) for site in hospitals]
    nodes = {n: hospital_node(each) for n, each in enumerate(made_up, 1)}
    RoundLoop(exchange=exchange_with(nodes), folder=RunFolder.resume(run), give_up=True).run()


def process(run: Path, hospitals: list[Path]) -> subprocess.Popen[bytes]:
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(run), *map(str, hospitals)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def two_hospitals(folder: Path) -> list[Path]:
    files = []
    for seed, name in enumerate(("north", "south")):
        hospital = write_hospital(folder / name, seed=seed)
        hospital.configure("site", name)
        hospital.configure("budget", "none")
        files.append(hospital.site_file)
    return files


@pytest.mark.slow
def test_kill_9_changes_no_weight(tmp_path: Path) -> None:
    """Killed at two moments of its life, real clients and their ledgers with it."""
    study = study_of({"rounds": 8}, training={"expected_batch": 4})
    ends = []
    for name in ("straight", "killed"):
        hospitals = two_hospitals(tmp_path / f"{name}-hospitals")
        path = tmp_path / name
        RunFolder.create(path, study, seed=1, synthetic=True)
        for kill_at in (2, 5) if name == "killed" else ():
            running = process(path, hospitals)
            while not (path / "checkpoints" / f"round-{kill_at:04d}").exists():
                assert running.poll() is None
                time.sleep(0.005)
            running.send_signal(signal.SIGKILL)
            running.wait()
            assert RunFolder.resume(path).last_round >= kill_at - 1
        run_on(path, hospitals)
        ends.append(RunFolder.resume(path))
    straight, killed = ends
    assert [line["round"] for line in killed.rounds()] == list(range(1, 9))
    expected = straight.load_checkpoint(8)
    for name, array in killed.load_checkpoint(8).items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)
