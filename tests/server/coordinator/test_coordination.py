"""From nothing to a run by the commands as docs/coordinator.md types them, with kills on the way.

Real nginx, SuperLink and SuperExec under `irene-server start`, and two hospitals' `irene-client
start` that reach them through the gateway alone.
"""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from irene_model.operations.supervised import running
from server.cli import app as server
from server.coordinator.coordinator import Coordinator, speaks_ipv6
from server.coordinator.enrolment import Enrolment
from server.coordinator.run_records import read_record
from server.coordinator.services import QUIET, environment, listens, program
from simulations.hospitals.hospitals import write_hospitals
from simulations.hospitals.scenario import Scenario
from tests.helpers.coordinator_folder import write_keys
from tests.helpers.federations.started_coordinator import (
    HERE,
    RUN_S,
    SERVER,
    START_S,
    STOP_S,
    Started,
    another_network,
    online_sites,
    secrets_on_command_lines,
    servers_of,
    status_of,
)
from tests.helpers.ports import free_ports, free_row
from tests.helpers.sites.typed_commands import typed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin") is None,
        reason="nginx is not installed",
    ),
]
CHECKOUT = Path(__file__).resolve().parents[3]
SETTINGS = ("federation.rounds=2", "federation.evaluate_every=2", "cohort.patients=80")
CLIENT = (sys.executable, "-c", "from client.cli import main; main()")


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """`irene-server init` and `start`, until everything is ready."""
    folder = tmp_path_factory.mktemp("coordination")
    port, first = free_ports(1)[0], free_row(4)
    hosts = ("--host", "localhost", "--host", HERE, *(("--host", "::1") if speaks_ipv6() else ()))
    subprocess.run(
        [*SERVER, "init", "federation", *hosts, "--port", str(port), "--loopback-port", str(first)],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    started = Started(coordinator=Coordinator.open(folder / "federation"), folder=folder)
    try:
        started.start_process("start", *SERVER, "start", "federation")
        ready = "gateway: ready"
        started.wait(ready, lambda: ready in started.said("start"), START_S)
        yield started
    finally:
        started.end()


def _flwr_home(folder: Path, address: str, certificate: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.toml").write_text(
        f'[superlink]\ndefault = "there"\n[superlink.there]\naddress = "{address}"\n'
        f'root-certificates = "{certificate}"\n'
    )
    return folder


def _ask_control(home: Path, *prefix: str) -> tuple[int, str]:
    """`flwr list` as anyone could type it, behind `prefix`."""
    done = subprocess.run(
        [*prefix, program("flwr"), "list"],
        env={**os.environ, **QUIET, "FLWR_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_run_survives_kills_and_the_gateway_shows_the_hospitals_api_alone(
    started: Started,
) -> None:
    coordinator = started.coordinator
    scenario = Scenario.read(CHECKOUT / "simulations/scenarios/smoke.yaml", SETTINGS)
    sites = write_hospitals(scenario, started.folder / "hospitals", seed=0)
    study = sites[0].parents[1] / "study.yaml"
    address, certificate = (
        f"localhost:{coordinator.settings.port}",
        coordinator.certificates / "ca.crt",
    )
    addresses = {"north": address, "south": address}
    if speaks_ipv6():
        addresses["south"] = f"[::1]:{coordinator.settings.port}"
    for path in sites:  # three runs follow, each of which costs what the study asks for
        path.write_text(path.read_text().replace("epsilon: 8.0", "epsilon: 100.0"))
        name = path.parent.name
        keys = started.folder / "keys" / name
        typed("keygen", keys)
        public = keys / "hospital.pub"
        typed("enroll", coordinator.path, public, "--name", name, program=server)
        typed("approve", study, path, "--yes")
        started.start_process(
            name,
            *(*CLIENT, "start", str(path), "--server", addresses[name]),
            *("--ca", str(certificate), "--key", str(keys / "hospital.key")),
        )
    # A node whose key nobody enrolled, whatever site it claims to be.
    stranger = started.start_process(
        "stranger",
        *(program("flower-supernode"), "--superlink", address),
        *("--port", str(free_ports(1)[0]), "--root-certificates", str(certificate)),
        *("--auth-supernode-private-key", str(write_keys(started.folder, "x").with_suffix(""))),
        *("--node-config", f'site="{sites[0]}"'),
        FLWR_HOME=str(started.folder / "stranger.flower"),
        PATH=environment(coordinator)["PATH"],
    )
    run = started.start_process("run", *SERVER, "run", "federation", str(study), "--name", "first")
    folder = coordinator.runs / "first"
    started.wait("round 0", (folder / "checkpoints" / "round-0000").exists, RUN_S)

    assert servers_of(coordinator) != []
    started.kill("superlink")
    code, said = _ask_control(_flwr_home(started.folder / "anyone.flower", address, certificate))
    assert code != 0
    assert "403" in said
    assert secrets_on_command_lines(coordinator) == []

    started.wait("round 1", lambda: '"round": 1' in _text(folder / "rounds.jsonl"), RUN_S)
    started.kill("superexec")
    started.wait("the end", lambda: run.poll() is not None, RUN_S)
    assert run.returncode == 0, f"{started.said('run')}\n{started.logs()}"
    assert "SuperExec was started again" in started.said("run")
    lines = [json.loads(line) for line in (folder / "rounds.jsonl").read_text().splitlines()]
    assert [line["round"] for line in lines] == [1, 2]
    for line in lines:
        outcomes = {site: entry["outcome"] for site, entry in line["sites"].items()}
        assert outcomes == {path.parent.name: "updated" for path in sites}
    assert (folder / "report.html").exists()
    # Flower may say that it stopped the first of the two before we see that SuperExec is another.
    kinds = [e.kind for e in coordinator.journal.entries() if "finished:stopped" not in e.content]
    assert kinds == [
        *("folder made", "started", "enrolled", "enrolled"),
        *("run submitted", "run submitted", "run ended"),
    ]
    restarts = {name: each.restarts for name, each in running(coordinator.state).items()}
    assert {name: count for name, count in restarts.items() if count} == {
        "superlink": 1,
        "superexec": 1,
    }
    assert stranger.poll() is not None
    assert "Failed to activate SuperNode" in started.said("stranger")


def test_a_detached_run_outlives_its_executor_and_the_superlinks_database(
    started: Started,
) -> None:
    """SuperExec is killed, then the database is damaged; nobody follows the run to its end."""
    coordinator, folder = started.coordinator, started.coordinator.runs / "second"
    study = started.folder / "hospitals" / "study.yaml"
    started.command(SERVER, "run", "federation", study, "--name", "second", "--detach")
    started.wait("round 0", (folder / "checkpoints" / "round-0000").exists, RUN_S)
    started.kill("superexec")
    started.wait("its taking up", lambda: _lost(coordinator) != [], START_S)
    said = json.loads(status_of(started))["warnings"]
    assert any("run second: its process was lost (SuperExec was started again)" in s for s in said)

    before = Enrolment.read(coordinator.enrolled).sites
    started.command(SERVER, "stop", "federation")
    coordinator.database.with_name("superlink.sqlite-wal").unlink(missing_ok=True)
    with coordinator.database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\x55" * 4096 * 8)
    refused = started.command(SERVER, "start", "federation", code=2).stderr
    assert "superlink.sqlite: is damaged" in refused and refused.count("\n") == 1
    (started.folder / "aside").mkdir()
    for path in coordinator.path.glob("superlink.sqlite*"):
        shutil.move(path, started.folder / "aside")
    started.start_process("again", *SERVER, "start", "federation")
    started.wait("the end", (folder / "report.html").exists, RUN_S)
    assert _lost(coordinator) == ["SuperExec was started again", "Flower does not know it any more"]
    after = Enrolment.read(coordinator.enrolled).sites
    assert {name: site.key for name, site in after.items()} == {
        name: site.key for name, site in before.items()
    }
    assert all(site.node_id != before[name].node_id for name, site in after.items())
    lines = [json.loads(line) for line in (folder / "rounds.jsonl").read_text().splitlines()]
    assert [line["round"] for line in lines] == [1, 2]


def test_a_cancelled_run_ends_and_the_hospitals_stay(started: Started) -> None:
    coordinator, folder = started.coordinator, started.coordinator.runs / "third"
    study = started.folder / "hospitals" / "study.yaml"
    started.command(SERVER, "run", "federation", study, "--name", "third", "--detach")
    started.wait("its greeting", lambda: "sites are here" in _text(folder / "run.log"), RUN_S)
    done = started.command(SERVER, "cancel", "federation", "third")
    assert done.stdout == "run third is cancelled\n"
    refused = started.command(SERVER, "run", "federation", "--resume", "third", code=2).stderr
    assert "--resume third: was cancelled, by" in refused
    started.wait("its process's end", lambda: not servers_of(coordinator), START_S)
    newest = json.loads(status_of(started))["runs"][0]
    assert (newest["run"], newest["state"]) == ("third", "cancelled")
    assert len(read_record(coordinator, "third").handed) == 1
    assert "run cancelled" in [entry.kind for entry in coordinator.journal.entries()[-3:]]


def test_the_control_api_cannot_be_reached_from_another_network(started: Started) -> None:
    coordinator = started.coordinator
    certificate = coordinator.certificates / "ca.crt"
    with another_network() as inside:
        through = f"{HERE}:{coordinator.settings.port}"
        code, said = _ask_control(
            _flwr_home(started.folder / "gate.flower", through, certificate), *inside
        )
        assert code != 0
        assert "403" in said
        for port in coordinator.settings.loopback.model_dump().values():
            reach = f"import socket; socket.create_connection(('{HERE}', {port}), 5)"
            done = subprocess.run(
                [*inside, sys.executable, "-c", reach], capture_output=True, text=True, check=False
            )
            assert "ConnectionRefusedError" in done.stderr
        # The gateway is there for them, by a name that its certificate has.
        health = (
            "import ssl, urllib.request as r; "
            f"c = ssl.create_default_context(cafile={str(certificate)!r}); "
            f"assert r.urlopen('https://{through}/health', context=c).status == 200"
        )
        subprocess.run([*inside, sys.executable, "-c", health], check=True)


def test_status_asks_them_all_and_the_live_page_is_served(started: Started) -> None:
    """Last but one: two sites are enrolled, runs are over, and everything still serves."""
    port = started.coordinator.settings.loopback.web
    started.wait("the live page", lambda: listens(port), START_S)
    online = {"north": True, "south": True}
    started.wait("the sites", lambda: online_sites(started) == online, START_S)
    document = json.loads(started.command(SERVER, "status", "federation", "--json").stdout)
    assert document["problems"] == []
    assert document["gateway"]["reach"] == "serving"
    healthy = {name for name, each in document["processes"].items() if each["health"] == "serving"}
    assert healthy == {"superlink", "superexec"}
    assert set(document["sites"]) == {"north", "south"}
    assert all(site["last_seen"] for site in document["sites"].values())
    states = {run["run"]: (run["state"], run["round"]) for run in document["runs"]}
    assert states.pop("third")[0] == "cancelled"
    assert states == dict.fromkeys(("first", "second"), ("finished", 2))
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
        page = answer.read().decode()
    assert all(f'<th scope="row">{site}</th>' in page for site in document["sites"])
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        assert b'irene_process_up{process="gateway"} 1.0' in answer.read()


def test_stop_ends_everything(started: Started) -> None:
    coordinator = started.coordinator
    known = running(coordinator.state)
    said = started.command(SERVER, "start", "federation", code=2).stderr
    assert "is already started" in said
    assert started.command(SERVER, "stop", "federation").stdout == "stopped\n"
    assert started.processes[0].wait(STOP_S) == 0
    assert not any(each.alive for each in running(coordinator.state).values())
    assert {"superlink", "superexec", "gateway"} <= set(known)
    ports = [coordinator.settings.port, *coordinator.settings.loopback.model_dump().values()]
    assert not any(map(listens, ports))
    assert coordinator.journal.entries()[-1].kind == "stopped"


def _lost(coordinator: Coordinator) -> list[str]:
    """Why the run `second` was taken up again, each time."""
    return [each.lost for each in read_record(coordinator, "second").handed if each.lost]


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
