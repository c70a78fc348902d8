"""The node as it is started: what it is given, what it says, and how a unit starts it again."""

import json
import shlex
import shutil
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from client.consent.consent import Consent
from client.consent.keys import make_key
from client.gateway.connection import (
    Connection,
    Progress,
    follow,
    forget,
    last_progress,
    log_file,
    node_folder,
    remember,
    remembered,
)
from client.node.launch import NOWHERE
from client.node.node import check_connection, free_ports, node_services
from client.node.systemd import unit, write_unit
from client.node.watch import Watch
from client.site.site import Site
from irene_model.errors import ConfigError
from irene_model.study.settings import parse
from tests.helpers.hospital_folder import HospitalFolder
from tests.helpers.tls_superlink import certificates

SECRET = "4711"
# What Flower 1.41's SuperNode wrote, in colours; the executor's own attempts are among it.
START = ["\x1b[92mINFO \x1b[0m:      Starting Flower SuperNode"]
CONNECTED = ["\x1b[92mINFO \x1b[0m:      SuperNode ID: 1710392325725153058"]
ATTEMPT = ["\x1b[93mWARNING \x1b[0m:   Connection attempt failed, retrying in 0.42 seconds"]
AGAIN = ["\x1b[92mINFO \x1b[0m:      Connection successful after 20.36 seconds and 6 tries."]
REFUSED = [
    "\x1b[91mERROR \x1b[0m:     Exit Code: 305",
    "Failed to initialize the connection to the SuperLink.",
    "[code: 2004] Failed to activate SuperNode.",
]
UNTRUSTED = [
    "\x1b[91mERROR \x1b[0m:     SSL/TLS handshake error detected.",
    "\x1b[91mERROR \x1b[0m:     Exit Code: 305",
    "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed",
]
EXECUTOR = ["\x1b[92mINFO \x1b[0m:      SuperExec terminated gracefully."]
ENDED = ["\x1b[92mINFO \x1b[0m:      SuperNode terminated gracefully."]


@pytest.fixture
def connection(hospital: HospitalFolder) -> Connection:
    certificates(hospital.folder / "coordinator")
    pair = make_key(hospital.folder / "keys")
    ca = hospital.folder / "coordinator" / "ca.crt"
    return Connection(server="irene.example.org:443", ca=ca, key=pair.private)


@pytest.mark.parametrize(
    ("lines", "state"),
    [
        ([], "starting"),
        (START + ATTEMPT * 2, "starting"),
        (START + ATTEMPT * 3, "unreachable"),
        (START + CONNECTED + EXECUTOR + ATTEMPT, "connected"),
        (START + CONNECTED + ATTEMPT * 3, "unreachable"),
        (START + CONNECTED + ATTEMPT * 5 + AGAIN, "connected"),
        (START + REFUSED + ATTEMPT * 4, "refused"),
        (START + REFUSED + START, "starting"),
        (START + UNTRUSTED + ATTEMPT * 4, "untrusted"),
        (START + CONNECTED + ENDED, "ended"),
    ],
)
def test_the_log_tells_how_it_goes(lines: list[str], state: str, tmp_path: Path) -> None:
    progress = follow(Progress(), lines)
    assert progress.state == state and progress.sentence
    (tmp_path / "log").write_text("\n".join(lines))
    assert last_progress(tmp_path / "log") == progress
    assert last_progress(tmp_path / "none") == Progress()


@pytest.mark.parametrize("server", ["", "host", "host:", ":443", "host:0", "host:70000", "a/b:1"])
def test_a_server_is_host_and_port(server: str) -> None:
    document = {"server": server, "ca": "/ca", "key": "/key"}
    with pytest.raises(ConfigError, match="server: expected HOST:PORT"):
        parse(Connection, document, "the connection")


def test_the_connection_is_remembered(hospital: HospitalFolder, connection: Connection) -> None:
    assert remembered(hospital.site) is None
    remember(hospital.site, connection)
    assert remembered(hospital.site) == connection
    path = node_folder(hospital.site) / "connection.json"
    assert set(json.loads(path.read_text())) == set(Connection.model_fields)
    path.write_text("{")
    with pytest.raises(ConfigError, match="start with all options"):
        remembered(hospital.site)
    forget(hospital.site)
    assert remembered(hospital.site) is None


def test_key_and_ca_are_looked_at_before_the_start(connection: Connection) -> None:
    assert len(check_connection(connection)) == 64
    connection.key.chmod(0o644)
    with pytest.raises(ConfigError, match="others can read the key"):
        check_connection(connection)
    connection.ca.write_text("no certificate")
    with pytest.raises(ConfigError, match=r"ca.crt: is no certificate in PEM form"):
        check_connection(connection)
    connection.ca.unlink()
    with pytest.raises(ConfigError, match=r"ca.crt: can't be read"):
        check_connection(connection)
    certificates(connection.ca.parent, until=datetime.now(UTC) - timedelta(minutes=1))
    with pytest.raises(ConfigError, match=r"ca.crt: ended on 2"):
        check_connection(connection)


def test_the_node_is_given_its_files_and_no_secret(
    hospital: HospitalFolder, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flwr.common.config import parse_config_args

    monkeypatch.setenv("FLWR_SUPEREXEC_SECRET", SECRET)
    for name in ("HTTP_PROXY", "https_proxy", "ALL_PROXY", "no_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://house:3128")
    folder = hospital.folder.rename(hospital.folder.with_name('no"r th\\ 5%'))
    site = Site.read(folder / "site.yaml")
    node, executor, trainer = node_services(site, folder / "site.yaml", connection)
    assert callable(node.command) and callable(executor.command)
    command = node.command()
    home = str(node_folder(site))
    assert command[:5] == (sys.executable, "-P", "-m", "client.node.supernode", home)
    options = dict(zip(command[5::2], command[6::2], strict=True))
    assert options["--superlink"] == connection.server and options["--host"] == "127.0.0.1"
    assert options["--auth-supernode-private-key"] == str(connection.key)
    assert options["--isolation"] == "process"  # it starts no SuperExec of its own
    assert "PRIVATE" not in " ".join(command)
    now = remembered(site)
    assert now is not None and options["--health-server-address"] == now.health
    assert options["--port"] == str(now.runtime_port)
    config = parse_config_args([options["--node-config"]])
    assert config == {"site": str(folder / "site.yaml"), "name": "north"}
    secret = Path(options["--superexec-auth-secret-file"])
    assert secret.stat().st_mode & 0o777 == 0o600 and len(secret.read_bytes()) == 64
    for service in (node, executor, trainer):
        assert SECRET not in service.environment.values()
        assert service.environment["PATH"] == NOWHERE
        named = {k: v for k, v in service.environment.items() if k.lower().endswith("_proxy")}
        assert named == dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,::1,localhost")
        assert Path(service.environment["FLWR_HOME"]).is_relative_to(node_folder(site))
    starts = executor.command()
    assert starts[:5] == (sys.executable, "-P", "-m", "client.node.superexec", home)
    assert starts[-1] == str(secret) and "PRIVATE" not in " ".join(starts)
    assert trainer.command == (sys.executable, "-P", "-m", "client.trainer.trainer", home)
    assert not list(node_folder(site).rglob("bin"))
    assert node.command() != command  # other ports: nobody can hold the old ones against it


def test_ports_are_free_and_below_the_systems_own() -> None:
    ports = free_ports(2)
    assert len(set(ports)) == 2 and all(9400 <= port < 9900 for port in ports)


def test_a_port_that_another_program_took_meanwhile_is_given_up(
    hospital: HospitalFolder, connection: Connection
) -> None:
    node, executor, _ = node_services(hospital.site, hospital.site_file, connection)
    assert callable(node.command) and callable(executor.command)
    node.command()
    first = remembered(hospital.site)
    assert first is not None and first.superexec_port is not None
    executor.command()
    assert remembered(hospital.site) == first
    with socket.socket() as other:
        other.bind(("127.0.0.1", first.superexec_port))
        other.listen()
        executor.command()
        now = remembered(hospital.site)
    assert now is not None and now.superexec_port != first.superexec_port
    assert now.model_copy(update={"superexec_port": first.superexec_port}) == first


def test_people_are_told_once_what_changes(hospital: HospitalFolder) -> None:
    log, said = log_file(hospital.site), list[str]()
    log.parent.mkdir(parents=True)
    log.write_text("\n".join([*START, *CONNECTED]) + "\n")  # of an earlier start
    consent = Consent.of(hospital.site)
    watch = Watch(site=hospital.site, site_file=hospital.site_file, observe=said.append)

    def look(*lines: str) -> list[str]:
        with log.open("a") as file:
            file.write("".join(f"{line}\n" for line in lines))
        watch._next = 0.0
        said.clear()
        watch.look()
        return list(said)

    assert look() == []
    assert look(*START) == []
    assert look(*REFUSED)[0].startswith("refused: the coordinator has not enrolled this key")
    assert look(*START, *REFUSED) == []
    assert look(*START, *CONNECTED) == ["connected to the coordinator"]
    consent.refusal(hospital.study)
    (asked,) = look()
    fingerprint = hospital.study.fingerprint[:12]
    assert asked.endswith(f"irene-client approve {fingerprint} {hospital.site_file}")
    assert look() == []
    approvals = hospital.folder / ".irene" / "approvals.json"
    approvals.write_text("{")
    assert look() == [f"{approvals}: can't be read; move it away and approve again"]
    assert look() == []
    approvals.unlink()
    log.write_text("")  # put aside at a start
    assert look(*START, *UNTRUSTED)[0].startswith("the server's certificate is not one of the CA")
    watch._next = time.monotonic() + 60
    watch.look()


def test_the_unit_starts_the_node_as_it_was_started(
    hospital: HospitalFolder, connection: Connection, tmp_path: Path
) -> None:
    folder = hospital.folder.rename(hospital.folder.with_name('no"r th $5%'))
    site = Site.read(folder / "site.yaml")
    text = unit(site, folder / "site.yaml", connection)
    (line,) = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    words = [
        word.replace("%%", "%").replace("$$", "$")
        for word in shlex.split(line.removeprefix("ExecStart="))
    ]
    assert words == [
        str(Path(sys.executable).parent / "irene-client"), "start", str(folder / "site.yaml"),
        "--server", connection.server, "--ca", str(connection.ca), "--key", str(connection.key),
    ]  # fmt: skip
    away = unit(site, folder / "site.yaml", connection.model_copy(update={"proxy": "environment"}))
    assert away == text.replace('hospital.key"', 'hospital.key" "--proxy" "environment"')
    assert f"WorkingDirectory={str(folder).replace('%', '%%')}\n" in text
    out = tmp_path / "irene-north.service"
    write_unit(out, text)
    with pytest.raises(ConfigError, match="is there already"):
        write_unit(out, text)
    if shutil.which("systemd-analyze"):
        done = subprocess.run(
            ["systemd-analyze", "verify", str(out)], capture_output=True, text=True, check=False
        )
        assert str(out.name) not in done.stderr, done.stderr
