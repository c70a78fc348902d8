"""What people accept as lost costs the whole budget, is never forgotten, and is asked for first."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from client.cli import app
from client.ledger.ledger import Ledger
from irene_model.errors import LedgerLost
from tests.helpers.hospital_folder import HospitalFolder
from tests.helpers.sites.typed_commands import typed
from tests.helpers.sites.witnessed_site import (
    LEDGER,
    copied,
    head_lost,
    ledger_and_head_lost,
    train,
)

pytestmark = pytest.mark.usefixtures("approved")


def test_a_loss_counts_the_rounds_that_anyone_knows_and_old_files_are_kept(
    hospital: HospitalFolder,
    released: tuple[Path, Path],
) -> None:
    state, old = released
    copied(old, state, LEDGER)
    typed("ledger", "accept-loss", hospital.site_file, "--yes")
    assert train(hospital, 4).rounds_charged == 3  # of the journal: two more than the old copy
    assert len(list(state.glob("ledger.sqlite*.lost-*"))) == 3
    history = Ledger.of(hospital.site).history()
    assert history.loss.runs == {"r": 3} and history.loss.number == 1


def test_an_accepted_loss_is_not_forgotten_with_the_new_ledger(
    hospital: HospitalFolder, released: tuple[Path, Path]
) -> None:
    state, _ = released
    ledger_and_head_lost(state, state)
    typed("ledger", "accept-loss", hospital.site_file, "--yes")
    hospital.configure("budget", {"epsilon": 70, "delta": 1.0e-3})
    ledger_and_head_lost(state, state)
    with pytest.raises(LedgerLost, match="accepted loss 1, which the ledger lacks"):
        Ledger.of(hospital.site)
    typed("ledger", "accept-loss", hospital.site_file, "--yes")
    history = Ledger.of(hospital.site).history()
    assert (history.loss.number, history.loss.epsilon) == (2, 70)


def test_a_lowered_budget_makes_a_loss_no_cheaper(
    hospital: HospitalFolder, released: tuple[Path, Path]
) -> None:
    state, _ = released
    ledger_and_head_lost(state, state)
    hospital.configure("budget", {"epsilon": 1, "delta": 1.0e-4})
    typed("ledger", "accept-loss", hospital.site_file, "--yes")
    loss = Ledger.of(hospital.site).history().loss
    assert (loss.epsilon, loss.delta) == (50, 1e-3)


def test_without_a_budget_nothing_bounds_a_loss(
    hospital: HospitalFolder, released: tuple[Path, Path]
) -> None:
    state, _ = released
    ledger_and_head_lost(state, state)
    hospital.configure("budget", "none")
    assert "there is none, so nothing bounds it" in typed(
        "ledger", "accept-loss", hospital.site_file, "--yes"
    )
    hospital.configure("budget", {"epsilon": 1e6, "delta": 1.0e-3})
    assert train(hospital, 4).outcome == "declined"
    assert json.loads(typed("budget", hospital.site_file, "--json"))["spent"]["smallest"] is None


def test_no_is_no(hospital: HospitalFolder, released: tuple[Path, Path]) -> None:
    state, _ = released
    head_lost(state, state)
    arguments = ["ledger", "accept-loss", str(hospital.site_file)]
    done = CliRunner().invoke(app, arguments, input="n\n")
    assert done.exit_code == 1 and not list(state.glob("*.lost-*"))
    assert train(hospital, 4).outcome == "failed"
