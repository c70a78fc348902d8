"""What a ledger waits for: the disk, unless it is of made-up patients in a simulation."""

import os
import re
from pathlib import Path

import pytest

from client.answers import _participant
from client.ledger import Ledger
from client.ledger.durability import Survives
from client.ledger.ledger_file import LedgerFile
from client.participant import Participant
from client.site.site import Site
from irene_model.privacy import Mechanism
from tests.helpers.hospital_folder import write_hospital

ROOT = Path(__file__).parents[3]


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often this process asked the disk to write; SQLite's own calls are not among them."""
    calls: list[int] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (calls.append(file), real(file))[1])
    return calls


def a_round(ledger: Ledger) -> None:
    mechanism = Mechanism(noise_multiplier=4.0, sample_rate=0.1, steps=1)
    kept = ledger.reserve(run="r", round=1, mechanism=mechanism, clip_norm=1.0)
    ledger.release(kept, b"update")


def synchronous(file: LedgerFile) -> int:
    with file.read() as now:
        mode: int = now.connection.execute("PRAGMA synchronous").fetchone()[0]
    return mode


def test_a_ledger_waits_for_the_disk_unless_its_patients_are_made_up(
    tmp_path: Path, synced: list[int]
) -> None:
    site = write_hospital(tmp_path / "made-up").site
    Ledger.of_made_up(site)  # its key is durable: nothing is known without it
    synced.clear()
    a_round(Ledger.of_made_up(site))
    assert not synced
    real = write_hospital(tmp_path / "real").site
    a_round(Ledger.of(real))
    assert synced
    for ledger, level in ((Ledger.of(real), 3), (Ledger.of_made_up(site), 0)):
        assert synchronous(ledger._file) == level  # 3 is EXTRA, 0 is OFF


def test_what_one_kind_wrote_the_other_reads(tmp_path: Path) -> None:
    site = write_hospital(tmp_path).site
    a_round(Ledger.of_made_up(site))
    assert [each.released for each in Ledger.of(site).reservations("r")] == [True]


def test_a_node_has_a_ledger_that_outlives_a_power_failure(tmp_path: Path) -> None:
    hospital = write_hospital(tmp_path)
    for participant in (
        _participant({"site": str(hospital.site_file)}),
        Participant.of_node(hospital.site_file),
        Participant.at(hospital.site_file),
        Participant(site=Site.read(hospital.site_file)),
    ):
        ledger = participant.ledger(participant.site)
        assert ledger._file.survives is Survives.POWER_LOSS


def test_nothing_but_a_simulation_asks_for_less() -> None:
    """No setting, message or command leads there: only the simulation's own process names it."""
    named = {
        str(path.relative_to(ROOT))
        for package in ("client", "server", "irene_model", "simulations")
        for path in (ROOT / package).rglob("*.py")
        if re.search(r"of_made_up|Survives\.KILLS", path.read_text(encoding="utf-8"))
    }
    assert named == {"client/ledger/ledger.py", "simulations/engine/clients.py"}
