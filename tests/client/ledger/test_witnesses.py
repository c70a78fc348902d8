"""Ledger, head, journal, approvals and coordinator vouch for each other; whichever is behind, it is
refused, and only people go on from there."""

from collections.abc import Callable
from pathlib import Path

import pytest

from client.budget.budget import read_budget
from client.consent.consent import journal_of
from client.ledger.ledger import Ledger
from client.node.status import look
from irene_model.errors import ConfigError, LedgerLost
from tests.helpers.hospital_folder import HospitalFolder
from tests.helpers.sites.typed_commands import typed
from tests.helpers.sites.witnessed_site import (
    ALL,
    LEDGER,
    copied,
    evaluate,
    head_lost,
    hello,
    ledger_and_head_lost,
    train,
)

Damage = Callable[[Path, Path], None]
pytestmark = pytest.mark.usefixtures("approved")


def ledger_lost(state: Path, old: Path) -> None:
    (state / "ledger.sqlite").unlink()


def ledger_and_head_emptied(state: Path, old: Path) -> None:
    (state / "ledger.sqlite").write_bytes(b"")
    (state / "ledger.sqlite.head").unlink()


def key_lost(state: Path, old: Path) -> None:
    (state / "ledger.sqlite.key").unlink()


def key_exchanged(state: Path, old: Path) -> None:
    (state / "ledger.sqlite.key").write_text("0" * 64 + "\n")


def journal_lost(state: Path, old: Path) -> None:
    (state / "journal.jsonl").unlink()


def journal_cut(state: Path, old: Path) -> None:
    lines = (state / "journal.jsonl").read_text().splitlines(keepends=True)
    (state / "journal.jsonl").write_text("".join(lines[:1]))


def ledger_journal_and_head_lost(state: Path, old: Path) -> None:
    """The folder of the ledger was emptied; the approvals are elsewhere, or forgotten."""
    for name in ALL:
        (state / name).unlink()


def everything_but_a_new_journal(state: Path, old: Path) -> None:
    ledger_journal_and_head_lost(state, old)
    from irene_model.journal.journal import Journal

    Journal(state / "journal.jsonl").append("node started", who="somebody")


def old_ledger_and_head(state: Path, old: Path) -> None:
    copied(old, state, LEDGER)


def old_ledger(state: Path, old: Path) -> None:
    copied(old, state, ("ledger.sqlite",))


def old_journal(state: Path, old: Path) -> None:
    copied(old, state, ("journal.jsonl",))


DAMAGES: list[tuple[Damage, str]] = [
    (ledger_lost, "gone but for its head"),
    (head_lost, "head file is missing"),
    (ledger_and_head_lost, r"lists the release of round 1 of run r, which the ledger lacks"),
    (ledger_and_head_emptied, "lists the release of round 1"),
    (key_lost, r"key file ledger\.sqlite\.key is missing"),
    (key_exchanged, "another key"),
    (journal_lost, "its journal lacks the lines 1 to"),
    (journal_cut, "its journal lacks the lines 2 to"),
    (old_ledger_and_head, r"lists the release of round 2 of run r, which the ledger lacks"),
    (old_ledger, "older copy"),
    (old_journal, "its journal lacks the lines"),
    (ledger_journal_and_head_lost, "was approved here and the journal"),
    (everything_but_a_new_journal, "was approved here and the journal"),
]


@pytest.mark.parametrize(("damage", "said"), DAMAGES, ids=[d.__name__ for d, _ in DAMAGES])
def test_whatever_is_missing_or_behind_is_refused_until_its_loss_is_accepted(
    hospital: HospitalFolder, released: tuple[Path, Path], damage: Damage, said: str
) -> None:
    state, old = released
    damage(state, old)
    before = {path.name: path.read_bytes() for path in state.glob("ledger.sqlite*")}
    with pytest.raises(LedgerLost, match=said) as error:
        Ledger.of(hospital.site)
    assert "accept-loss" in str(error.value)
    with pytest.raises(LedgerLost):
        read_budget(hospital.site)
    for reply in (train(hospital, 4), train(hospital, 1, run="another"), train(hospital, 3)):
        assert (reply.outcome, reply.code, reply.arrays) == ("failed", "ledger", {})
        assert reply.rounds_charged == -1 and str(hospital.folder) not in reply.reason
    assert (hello(hospital).outcome, hello(hospital).code) == ("failed", "ledger")
    assert evaluate(hospital, 4) == "failed"
    assert any("accept-loss" in problem for problem in look(hospital.site).problems)
    assert {p.name: p.read_bytes() for p in state.glob("ledger.sqlite*")} == before

    text = typed("ledger", "accept-loss", hospital.site_file, "--yes")
    assert "Charged would be epsilon 50.00 at delta 0.001, the whole budget" in text
    report = read_budget(hospital.site)
    assert report.left == 0 and report.spent.smallest == 50 and report.loss is not None
    for reply in (train(hospital, 4), train(hospital, 1, run="another")):
        assert (reply.outcome, reply.code) == ("declined", "budget")
        assert "50 of it for a ledger that was lost" in reply.reason
    assert evaluate(hospital, 5) == "declined"
    assert any("for a ledger that was lost" in each for each in look(hospital.site).todo)
    assert "charged for a ledger that was lost" in typed("budget", hospital.site_file)

    hospital.configure("budget", {"epsilon": 70, "delta": 1.0e-3})
    reply = train(hospital, 4)
    assert reply.outcome == "updated" and reply.epsilon_total > 50
    report = read_budget(hospital.site)
    assert report.delta == 2e-3 and 50 < report.spent.smallest < 70
    with pytest.raises(ConfigError, match="nothing contradicts this ledger"):
        typed("ledger", "accept-loss", hospital.site_file, "--yes")


def test_what_is_put_back_is_trusted_again(
    hospital: HospitalFolder, released: tuple[Path, Path]
) -> None:
    state, _ = released
    newest = hospital.folder / "newest"
    copied(state, newest)
    ledger_journal_and_head_lost(state, newest)
    assert train(hospital, 4).outcome == "failed"
    copied(newest, state)
    assert train(hospital, 4).outcome == "updated"


def test_a_first_start_needs_no_ceremony(hospital: HospitalFolder) -> None:
    assert hello(hospital).outcome == "ready"
    assert train(hospital, 1).outcome == "updated"
    with pytest.raises(ConfigError, match="no loss to accept"):
        typed("ledger", "accept-loss", hospital.site_file, "--yes")


def test_a_release_that_a_crash_kept_from_the_journal_is_no_doubt(
    hospital: HospitalFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger keeps the bytes before the journal notes them."""
    assert train(hospital, 1).outcome == "updated"
    with monkeypatch.context() as patch:
        patch.setattr("irene_model.journal.journal.Journal.append", lambda *_, **__: 1 / 0)
        assert train(hospital, 2).outcome == "failed"
    assert train(hospital, 3).outcome == train(hospital, 2).outcome == "updated"


@pytest.mark.parametrize("with_journal", [True, False])
def test_a_coordinator_that_knows_of_more_rounds_is_told_so(
    hospital: HospitalFolder, released: tuple[Path, Path], with_journal: bool
) -> None:
    """All files put back together from an older copy: only the coordinator can know."""
    state, old = released
    copied(old, state)
    journal = len(journal_of(hospital.site).entries())
    for _ in range(2):
        reply = train(hospital, 4, told=3)
        assert (reply.outcome, reply.code, reply.rounds_charged) == ("failed", "ledger", 1)
        assert "3 rounds of this run were charged here, and the site's ledger knows of 1" in (
            reply.reason
        )
    assert len(journal_of(hospital.site).entries()) == journal + 1  # noted once
    (problem,) = [p for p in look(hospital.site).problems if "coordinator says" in p]
    assert "3 rounds of run r" in problem
    assert train(hospital, 1, run="another").outcome == "updated"  # its word is of one run
    if with_journal:
        assert "the coordinator says" in typed("ledger", "accept-loss", hospital.site_file, "--yes")
        hospital.configure("budget", {"epsilon": 70, "delta": 1.0e-3})
        reply = train(hospital, 4, told=3)
        assert (reply.outcome, reply.rounds_charged) == ("updated", 4)
    else:
        assert train(hospital, 2, told=1).outcome == "updated"
        assert train(hospital, 3, told=2).outcome == "updated"
        assert not [p for p in look(hospital.site).problems if "coordinator says" in p]


def test_a_round_of_an_exchanged_ledger_is_not_released(hospital: HospitalFolder) -> None:
    assert train(hospital, 1).outcome == "updated"
    ledger = Ledger.of(hospital.site)
    (held,) = ledger.reservations()
    state = hospital.folder / ".irene"
    ledger_and_head_lost(state, state)
    typed("ledger", "accept-loss", hospital.site_file, "--yes")
    with pytest.raises(Exception, match="not reserved in this ledger"):
        ledger.release(held, b"noise")
    Ledger.of(hospital.site)  # it is still whole
