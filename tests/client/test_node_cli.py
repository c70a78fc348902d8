"""The node's commands as a hospital types them, but for the node itself."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from client import cli, node_cli
from client.budget.study_view import site_facts, study_facts
from client.consent.consent import Consent, journal_of
from client.gateway.connection import Connection, node_folder, remember, remembered
from client.ledger.ledger import Ledger
from irene_model.errors import ConfigError, UserError
from tests.helpers.hospital_folder import SMALL, HospitalFolder
from tests.helpers.tls_superlink import certificates


@pytest.fixture(autouse=True)
def _small_and_public(hospital: HospitalFolder) -> None:
    hospital.configure("model", SMALL, "study.yaml")
    hospital.configure("declared_patients", 10)


def typed(*arguments: str, answer: str = "") -> str:
    """What the command says; its own errors are raised."""
    done = CliRunner().invoke(cli.app, list(arguments), input=answer)
    if isinstance(done.exception, UserError):
        raise done.exception
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def kinds(hospital: HospitalFolder) -> list[str]:
    return [entry.kind for entry in journal_of(hospital.site).entries()]


def test_keygen_says_what_to_send_and_what_never(hospital: HospitalFolder) -> None:
    keys, site = str(hospital.folder / "keys"), str(hospital.site_file)
    said = typed("keygen", keys, "--site", site)
    assert f"Send to the coordinator:  {keys}/hospital.pub" in said
    assert f"Never send, never copy:   {keys}/hospital.key" in said
    (entry,) = journal_of(hospital.site).entries()
    assert entry.kind == "key made" and json.loads(entry.content)["key_sha256"] in said
    with pytest.raises(ConfigError, match="is not overwritten"):
        typed("keygen", keys)


def test_approval_shows_the_study_its_cost_and_what_leaves(hospital: HospitalFolder) -> None:
    site, study = str(hospital.site_file), hospital.study
    said = " ".join(typed("approve", str(hospital.study_file), site, answer="y\n").split())
    for shown in (
        study.fingerprint, "pneumonia, death", "epsilon 8 for the whole run, delta 0.001",
        "2, 2 steps in each", "of 8; 2 of 2 rounds fit", "an update of the weights, with noise",
        "histograms of scores, with noise",
    ):  # fmt: skip
        assert shown in said
    assert Consent.of(hospital.site).approved(study.fingerprint)
    assert "approved already" in typed("approve", str(hospital.study_file), site)
    assert kinds(hospital) == ["study approved"]


def test_no_is_no(hospital: HospitalFolder) -> None:
    for answer in ("n\n", ""):
        done = CliRunner().invoke(
            cli.app, ["approve", str(hospital.study_file), str(hospital.site_file)], input=answer
        )
        assert done.exit_code != 0
    assert not Consent.of(hospital.site).approved(hospital.study.fingerprint)


def test_a_study_beyond_the_limits_can_not_be_approved(hospital: HospitalFolder) -> None:
    hospital.configure("limits", {"most_rounds": 1})
    with pytest.raises(ConfigError, match=r"site.yaml: the study asks for federation.rounds 2"):
        typed("approve", str(hospital.study_file), str(hospital.site_file), "--yes")
    hospital.configure("limits", {"largest_epsilon": 1})  # which takes the site's own numbers
    with pytest.raises(ConfigError, match=r"site.yaml: the study asks for an epsilon of"):
        typed("approve", str(hospital.study_file), str(hospital.site_file), "--yes")
    hospital.configure("limits", {"most_parameters": 1000})
    with pytest.raises(
        ConfigError, match=r"a model of at least 2457 parameters; this site allows at most 1000"
    ):
        typed("approve", str(hospital.study_file), str(hospital.site_file), "--yes")
    assert Consent.of(hospital.site).fingerprints == ()
    with pytest.raises(ConfigError, match=r"nowhere.yaml: no such file"):
        typed("approve", "nowhere.yaml", str(hospital.site_file), "--yes")


def test_what_was_asked_for_is_approved_by_name(hospital: HospitalFolder) -> None:
    site, study = str(hospital.site_file), hospital.study
    assert "No study was asked for yet." in typed("requests", site)
    Consent.of(hospital.site).refusal(study)
    assert "waits for you" in typed("requests", site)
    typed("approve", study.fingerprint[:8], site, "--yes")
    assert "approved" in typed("requests", site)
    (row,) = json.loads(typed("requests", site, "--json"))
    assert row["fingerprint"] == study.fingerprint and row["approved"] is True


def test_what_is_exact_or_without_noise_is_shown_in_capitals(hospital: HospitalFolder) -> None:
    from client.budget.outlook import look_ahead

    hospital.configure("privacy", {"noise_multiplier": 0.0}, "study.yaml")
    hospital.configure("budget", "none")
    hospital.configure("metrics", "exact")
    study, site = hospital.study, hospital.site
    facts = site_facts(study, site, look_ahead(site, study, 10))
    assert "WITHOUT NOISE" in facts["leaves, each round"]
    assert facts["leaves, evaluations"].startswith("EXACT histograms")
    assert "a whole run by itself" not in "".join(facts) and "budget" not in facts
    assert study_facts(study)["privacy"] == "noise multiplier 0, delta 1e-05, by patient"
    hospital.configure("metrics", False)
    facts = site_facts(study, hospital.site, look_ahead(site, study, 10))
    assert facts["leaves, evaluations"] == "nothing (metrics: off in site.yaml)"


def test_pause_resume_and_leave(hospital: HospitalFolder) -> None:
    site = str(hospital.site_file)
    typed("approve", str(hospital.study_file), site, "--yes")
    assert "is paused" in typed("pause", site) and "already" in typed("pause", site)
    assert "takes part" in typed("resume", site) and "was not" in typed("resume", site)
    assert "No node was running." in typed("stop", site)
    Ledger.of(hospital.site).record_patients([b"somebody"])
    key = hospital.folder / "keys" / "hospital.key"
    remember(hospital.site, Connection(server="host:1", ca=Path("/ca"), key=key))
    done = CliRunner().invoke(cli.app, ["leave", site], input="n\n")
    assert done.exit_code != 0 and remembered(hospital.site) is not None
    said = typed("leave", site, "--yes")
    assert "1 approvals are withdrawn" in said and str(key) in said
    assert "Never delete them" in said and Ledger.of(hospital.site).reservations() == ()
    assert remembered(hospital.site) is None
    assert not Consent.of(hospital.site).approved(hospital.study.fingerprint)
    assert kinds(hospital) == ["study approved", "site paused", "site resumed", "site left"]


def test_start_wants_a_whole_connection_once(
    hospital: HospitalFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = str(hospital.site_file)
    with pytest.raises(ConfigError, match="give --server, --ca, --key"):
        typed("start", site)
    typed("keygen", str(hospital.folder / "keys"))
    certificates(hospital.folder / "coordinator")
    started: list[Connection] = []

    def run(site: object, file: object, connection: Connection, observe: object) -> None:
        remember(hospital.site, connection)
        started.append(connection)

    monkeypatch.setattr("client.node.run_node", run)
    monkeypatch.chdir(hospital.folder)
    given = ["--server", "h:1", "--ca", "coordinator/ca.crt", "--key", "keys/hospital.key"]
    typed("start", site, *given)
    monkeypatch.chdir("/")
    typed("start", site)
    typed("start", site, "--server", "other:2")
    assert [c.server for c in started] == ["h:1", "h:1", "other:2"]
    assert {c.ca for c in started} == {hospital.folder / "coordinator" / "ca.crt"}
    assert kinds(hospital) == ["node started", "node stopped"] * 3
    unit = typed("systemd", site)
    assert "ExecStart=" in unit and "other:2" in unit
    (hospital.folder / "keys" / "hospital.key").chmod(0o644)
    with pytest.raises(ConfigError, match="others can read the key"):
        typed("start", site)
    assert len(started) == 3


def test_a_node_is_started_once(hospital: HospitalFolder) -> None:
    holder = (
        "import fcntl, os, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); "
        "f.write(str(os.getpid())); f.flush(); print(flush=True); time.sleep(60)"
    )
    node_folder(hospital.site).mkdir(parents=True)
    lock = node_folder(hospital.site) / "supervisor.lock"
    process = subprocess.Popen(
        [sys.executable, "-c", holder, str(lock)], stdout=subprocess.PIPE, env=dict(os.environ)
    )
    try:
        assert process.stdout is not None and process.stdout.readline()
        with pytest.raises(ConfigError, match="its node runs already"):
            typed("start", str(hospital.site_file))
    finally:
        process.kill()
        process.communicate()


def test_every_command_explains_itself() -> None:
    for command in node_cli.COMMANDS:
        assert "Usage" in typed(command.__name__, "--help")
