"""A site of secure sums: its journal vouches for every attempt, and a loss costs both budgets."""

from pathlib import Path
from typing import Any

import pytest

from client.consent.consent import Consent
from client.ledger.ledger import Ledger
from client.participant import Participant
from irene_model.errors import LedgerLost
from irene_model.exchange.replies import TrainReply
from irene_model.exchange.requests import TrainRequest
from tests.helpers.hospital_folder import HospitalFolder
from tests.helpers.sites.secure_sites import SecureSites, weights_of, write_secure_sites
from tests.helpers.sites.typed_commands import typed
from tests.helpers.sites.witnessed_site import LEDGER, copied, ledger_and_head_lost

PARTNERS = "east,north,south"
BUDGET: dict[str, Any] = {"epsilon": 20, "delta": 1.0e-3, "alone": 60}


@pytest.fixture
def sites(tmp_path: Path) -> SecureSites:
    found = write_secure_sites(tmp_path)
    found.hospital("north").configure("budget", BUDGET)
    Consent.of(found.hospital("north").site).approve(found.study)
    return found


@pytest.fixture
def north(sites: SecureSites) -> HospitalFolder:
    return sites.hospital("north")


def train(sites: SecureSites, attempt: int, partners: str = PARTNERS, **fields: Any) -> TrainReply:
    asked: dict[str, Any] = {"round": 1, "arrays": weights_of(sites.study), **fields}
    request = TrainRequest.about(sites.study, run="r", attempt=attempt, partners=partners, **asked)
    return Participant.of_node(sites.hospital("north").site_file).train(request)


def test_an_older_ledger_lacks_an_attempt_that_the_journal_lists(
    sites: SecureSites, north: HospitalFolder
) -> None:
    state = north.folder / ".irene"
    first = train(sites, 1)
    copied(state, north.folder / "old", LEDGER)
    second = train(sites, 2, "north,south,west")
    assert (first.outcome, second.outcome, second.rounds_charged) == ("updated", "updated", 1)
    assert second.epsilon_alone > first.epsilon_alone > first.epsilon_run > 0
    copied(north.folder / "old", state, LEDGER)
    with pytest.raises(LedgerLost, match="lists the release of attempt 2 at round 1 of run r"):
        Ledger.of(north.site)
    assert train(sites, 3).code == "ledger"


def test_a_loss_costs_both_budgets_and_both_have_to_be_raised(
    sites: SecureSites, north: HospitalFolder
) -> None:
    assert train(sites, 1).outcome == "updated"
    ledger_and_head_lost(north.folder / ".irene", north.folder)
    said = typed("ledger", "accept-loss", north.site_file, "--yes")
    assert "Charged would be epsilon 20.00 at delta 0.001" in said
    assert "If everybody else colludes it would be epsilon 60.00" in said
    assert "beyond epsilon 20.00, and its `alone` beyond 60.00" in said
    ledger = Ledger.of(north.site)
    assert (ledger.epsilon(delta=1e-3), ledger.epsilon_alone(delta=1e-3)) == (20, 60)
    assert ledger.epsilon_alone(delta=1e-3, run="r") == 60
    assert "60 if all others collude" in typed("budget", north.site_file).replace("60.00", "60")
    refused = train(sites, 2)
    assert refused.code == "budget" and "20 of it for a ledger that was lost" in refused.reason
    north.configure("budget", {**BUDGET, "epsilon": 40})
    refused = train(sites, 2)
    assert refused.code == "budget" and "60 of it for a ledger that was lost" in refused.reason
    assert "budget.alone" in refused.reason
    north.configure("budget", {**BUDGET, "epsilon": 40, "alone": 100})
    assert train(sites, 2).outcome == "updated"


def test_a_lowered_budget_makes_a_loss_no_cheaper(
    sites: SecureSites, north: HospitalFolder
) -> None:
    """Nor does one that says nothing any more of what others may collude for."""
    assert train(sites, 1).outcome == "updated"
    ledger_and_head_lost(north.folder / ".irene", north.folder)
    north.configure("budget", {"epsilon": 1, "delta": 1.0e-4})
    typed("ledger", "accept-loss", north.site_file, "--yes")
    loss = Ledger.of(north.site).history().loss
    assert (loss.epsilon, loss.alone, loss.delta) == (20, 60, 1e-3)


def test_repeats_without_end_stop_at_the_limit_of_a_run(
    sites: SecureSites, north: HospitalFolder
) -> None:
    """The study has two rounds, and one of them is asked for again and again."""
    spent = [train(sites, number) for number in (1, 2)][-1]
    north.configure("limits", {"largest_epsilon_alone": 1.01 * spent.epsilon_alone})
    refused = train(sites, 3)
    assert (refused.outcome, refused.code) == ("declined", "budget")
    assert "limits.largest_epsilon_alone is" in refused.reason and not refused.arrays
    assert train(sites, 2).outcome == "updated"  # what was sent is sent again
