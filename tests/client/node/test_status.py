"""A hospital's status: what is broken, what waits for its people. Looking changes nothing."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from client.consent.consent import Consent
from client.gateway.clock import Reading
from client.gateway.connection import Progress
from client.node.node_processes import DOES, NodeProcess
from client.node.status import NodeStatus, _problems, _todo, look
from client.node.status_view import show
from client.node.watch import PATIENCE_S
from client.site.site import Site
from irene_model.errors import LedgerError
from irene_model.journal.journal import Journal
from irene_model.operations.supervised import Running
from tests.helpers.hospital_folder import HospitalFolder

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def site(hospital: HospitalFolder) -> Site:
    return Site.read(hospital.site_file)


def test_a_node_that_was_never_started(site: Site) -> None:
    before = sorted(site.folder.rglob("*"))
    status = look(site, NOW)
    assert status.problems == ("the node is not started: irene-client start",)
    assert status.server is None and status.studies == () and status.releases == ()
    assert status.budget is not None and status.budget.left == status.budget.budget
    assert sorted(site.folder.rglob("*")) == before


def test_what_waits_for_people_is_named_with_the_command(
    site: Site, hospital: HospitalFolder
) -> None:
    study = hospital.study
    consent = Consent.of(site)
    assert consent.refusal(study) is not None
    consent.pause()
    status = look(site, NOW)
    assert any(study.fingerprint[:12] in task for task in status.todo)
    assert "the site is paused: irene-client resume" in status.todo
    consent.approve(study)
    consent.resume()
    status = look(site, NOW)
    assert status.todo == () and status.studies[0].approved
    document = json.loads(json.dumps(status.as_json(), allow_nan=False))
    assert document["studies"][0]["fingerprint"] == study.fingerprint
    assert document["budget"]["left"] == status.budget.left  # type: ignore[union-attr]


def test_the_last_releases_come_from_the_journal_newest_first(site: Site) -> None:
    journal = Consent.of(site).journal
    journal.append("site paused", who="me")
    for number in range(1, 8):
        facts = {"round": number, "study": "s", "sha256": "ab", "run": "r"}
        journal.append("update released", who="run r", **facts)
    status = look(site, NOW)
    assert [release.round for release in status.releases] == [7, 6, 5, 4, 3]
    shown = _shown(status)
    assert "update" in shown and "7" in shown


def test_a_damaged_journal_or_ledger_is_a_problem_and_no_traceback(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    Consent.of(site).journal.append("site paused", who="me")
    path = Journal(Consent.of(site).journal.path).path
    path.write_text(path.read_text().replace("paused", "passed"))

    def _broken(_site: Site) -> None:
        raise LedgerError("row 3 was altered")

    monkeypatch.setattr("client.node.status.read_budget", _broken)
    status = look(site, NOW)
    assert any("journal.jsonl" in problem for problem in status.problems)
    assert "row 3 was altered" in status.problems and status.budget is None
    assert "row 3 was altered" in _shown(status)


def _process(name: str, started: str) -> NodeProcess:
    running = Running(pid=4001, started=started, restarts=0, born="1", alive=True)
    return NodeProcess(
        name=name, log=Path(f"{name}.log"), running=running, health="serving", silent_s=1.0
    )


def _ill(name: str, **change: object) -> NodeStatus:
    status = _running()
    processes = [
        replace(each, **change) if each.name == name else each  # type: ignore[arg-type]
        for each in status.processes
    ]
    return replace(status, processes=tuple(processes))


def _running(**change: object) -> NodeStatus:
    started = (NOW - timedelta(hours=1)).isoformat(timespec="seconds")
    status = NodeStatus(
        site="north",
        at=NOW,
        supervisor=4000,
        processes=tuple(_process(name, started) for name in DOES),
        server="gateway.example.org:8443",
        proxy=None,
        clock=None,
        connection=Progress(state="connected"),
        paused=False,
        studies=(),
        budget=None,
        releases=(),
        problems=(),
    )
    return replace(status, **change)  # type: ignore[arg-type]


def test_a_connected_node_is_well() -> None:
    assert list(_problems(_running())) == []
    assert "the node of north runs" in _shown(_running())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"supervisor": None}, "not started"),
        ({"connection": Progress(state="untrusted")}, "certificate"),
        ({"connection": Progress(state="unreachable")}, "can't be reached"),
    ],
)
def test_what_is_broken_is_said(change: dict[str, object], said: str) -> None:
    (problem,) = _problems(_running(**change))
    assert said in problem


@pytest.mark.parametrize("name", DOES)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"running": None}, "has ended"),
        ({"health": "not serving"}, "not serving"),
        ({"health": None}, "is None"),
        ({"silent_s": 100.0}, "no sign of life for 100 s"),
        (
            {"running": Running(pid=1, started=NOW.isoformat(), restarts=5, born="1", alive=True)},
            "keeps ending, 5 restarts",
        ),
    ],
)
def test_a_process_that_does_not_do_its_work_is_named(
    name: str, change: dict[str, object], said: str
) -> None:
    status = _ill(name, **change)
    if name not in PATIENCE_S and "silent_s" in change:
        assert not list(_problems(status))  # SuperExec ends it at a message's deadline
        return
    (problem,) = _problems(status)
    assert problem.startswith(f"{name}, which {DOES[name]}") and said in problem
    assert f"{name}.log" in problem
    assert json.loads(json.dumps(status.as_json()))["processes"].keys() == DOES.keys()


def test_a_wrong_clock_is_a_task_or_a_problem() -> None:
    right, behind, lost = (
        Reading(offset=offset, slack=1.0, wall=NOW.timestamp(), steady=0.0)
        for offset in (2.0, 3660.0, -200_000.0)
    )
    early = Reading(wall=NOW.timestamp(), steady=0.0, trouble="early")
    assert not list(_problems(_running(clock=right))) and not list(_todo(_running(clock=right)))
    assert not list(_problems(_running(clock=behind)))
    (task,) = _todo(_running(clock=behind))
    assert "61 min behind the coordinator's" in task and "NTP" in task
    for clock, said in ((lost, "2 days ahead of"), (early, "2026-03-01 12:00 UTC")):
        (problem,) = _problems(_running(clock=clock))
        assert said in problem and "NTP" in problem and not list(_todo(_running(clock=clock)))


def _shown(status: NodeStatus) -> str:
    screen = StringIO()
    show(status, Console(file=screen, width=120))
    return screen.getvalue()
