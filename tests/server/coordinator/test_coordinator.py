"""What `irene-server init` makes, and what the services refuse before they start."""

import contextlib
import shutil
import socket
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from irene_model.errors import ConfigError
from irene_model.study.settings import parse
from irene_model.study.study import Study
from server.coordinator.certificates import Signed, issue, new_authority, now, read_certificate
from server.coordinator.coordinator import LOOPBACK, Coordinator, CoordinatorSettings
from server.coordinator.run_config import RUN_CONFIG
from server.coordinator.services import check_start, environment, require_started, services_of
from tests.helpers.coordinator_folder import new_coordinator, settings

CHECKOUT = Path(__file__).resolve().parents[3]
needs_nginx = pytest.mark.skipif(
    shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin") is None,
    reason="nginx is not installed",
)


@pytest.fixture
def coordinator(tmp_path: Path) -> Coordinator:
    return new_coordinator(tmp_path / "federation")


def test_the_folder_and_its_secrets_are_for_their_owner_alone(coordinator: Coordinator) -> None:
    assert coordinator.path.stat().st_mode & 0o777 == 0o700
    secrets = [*coordinator.certificates.glob("*.key"), coordinator.secret]
    assert len(secrets) == 4
    assert {path.stat().st_mode & 0o777 for path in secrets} == {0o600}
    assert len(coordinator.secret.read_bytes()) == 64


def test_a_second_init_refuses_and_changes_nothing(coordinator: Coordinator) -> None:
    before = {path: path.read_bytes() for path in coordinator.path.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match="not empty, and nothing is overwritten"):
        Coordinator.create(coordinator.path, settings())
    after = {path: path.read_bytes() for path in coordinator.path.rglob("*") if path.is_file()}
    assert after == before
    assert [path.name for path in coordinator.path.parent.iterdir()] == ["federation"]


def test_an_empty_folder_is_taken_and_a_file_is_not(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert new_coordinator(tmp_path / "empty").secret.exists()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match="not empty"):
        new_coordinator(tmp_path / "file")
    with pytest.raises(ConfigError, match="does not exist; make it first"):
        new_coordinator(tmp_path / "no" / "where")


def test_what_is_written_reads_back(coordinator: Coordinator) -> None:
    assert Coordinator.open(coordinator.path) == coordinator
    study = Study.read(coordinator.path / "study.yaml")
    assert study.privacy.epsilon == 8
    with pytest.raises(ConfigError, match=r"holds no coordinator\.yaml.*irene-server init"):
        Coordinator.open(coordinator.path / "runs")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hosts": ["https://gateway.org"]}, "hosts.0: expected a host name or an address"),
        ({"hosts": ["gateway.org:8443"]}, "hosts.0: expected a host name or an address"),
        ({"hosts": ["-rf.org"]}, "hosts.0: expected a host name or an address"),
        ({"hosts": ["a.org; return 200"]}, "hosts.0: expected a host name or an address"),
        ({"hosts": ["[::1]"]}, "without port, brackets or https://"),
        ({"hosts": ["fe80::1%eth0"]}, "an address with a zone is reached from its own network"),
        ({"hosts": ["10.0.0.256"]}, "hosts.0: expected a host name or an address"),
        ({"hosts": []}, "name at least one host"),
        ({"hosts": ["a.org"], "port": 9181}, "must all differ"),
        ({"hosts": ["a.org"], "port": 70000}, "port: input should be less than"),
    ],
)
def test_settings_that_could_not_work_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse(CoordinatorSettings, options, "coordinator.yaml")


def test_the_bundle_names_the_apps_and_holds_no_code(coordinator: Coordinator) -> None:
    assert [path.name for path in coordinator.app.iterdir()] == ["pyproject.toml"]
    bundle = tomllib.loads((coordinator.app / "pyproject.toml").read_text())["tool"]["flwr"]["app"]
    ours = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["flwr"]["app"]
    assert bundle["fab-include"] == ["pyproject.toml"]
    assert bundle["components"] == ours["components"]
    assert bundle["config"] == ours["config"] == RUN_CONFIG


def test_the_unit_and_the_compose_file_open_one_port(coordinator: Coordinator) -> None:
    unit = (coordinator.path / "systemd" / "irene-server.service").read_text()
    assert f'irene-server" start "{coordinator.path}"\n' in unit
    assert "AmbientCapabilities" not in unit
    compose = yaml.safe_load((coordinator.path / "compose.yaml").read_text())
    port = coordinator.settings.port
    assert compose["services"]["coordinator"]["ports"] == [f"{port}:{port}"]


def test_a_port_below_1024_needs_a_capability_and_gets_that_one(tmp_path: Path) -> None:
    options = settings().model_copy(update={"port": 443})
    made = Coordinator.create(tmp_path / "federation", options)
    unit = (made.path / "systemd" / "irene-server.service").read_text()
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE\n" in unit


def test_renewing_keeps_the_authority(coordinator: Coordinator) -> None:
    def fingerprints() -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in coordinator.certificates.iterdir()}

    before = fingerprints()
    coordinator.renew()
    changed = {name for name, content in fingerprints().items() if content != before[name]}
    assert changed == {"server.crt", "server.key", "superlink.crt", "superlink.key"}
    authority = read_certificate(coordinator.certificates / "ca.crt")
    for name in ("server", "superlink"):
        read_certificate(coordinator.certificates / f"{name}.crt").verify_directly_issued_by(
            authority
        )


def test_an_ended_authority_renews_nothing_and_says_what_to_do(coordinator: Coordinator) -> None:
    before = {p.name: p.read_bytes() for p in coordinator.certificates.iterdir()}
    new_authority("old", now() - timedelta(days=3651)).save(coordinator.certificates, "ca")
    with pytest.raises(ConfigError, match=r"ca\.crt: ended on 20.*irene-server init.* its ca\.crt"):
        coordinator.renew()
    for name in ("server.crt", "superlink.key"):
        assert (coordinator.certificates / name).read_bytes() == before[name]
    (coordinator.certificates / "ca.crt").write_bytes(before["ca.crt"])
    with pytest.raises(ConfigError, match=r"ca\.key: is not the key of ca\.crt"):
        coordinator.renew()


@needs_nginx
def test_no_secret_is_on_a_command_line_or_in_the_environment(coordinator: Coordinator) -> None:
    secrets = [coordinator.secret.read_text()]
    secrets += [path.read_text() for path in coordinator.certificates.glob("*.key")]
    started = services_of(coordinator)
    for service in started:
        assert isinstance(service.command, tuple)
        given = [*service.command, *service.environment.values()]
        assert not any(secret in text for secret in secrets for text in given)
    commands = {service.name: set(service.command) for service in started}
    assert {"--enable-supernode-auth", "--database", "127.0.0.1"} <= commands["superlink"]
    assert "--insecure" not in commands["superlink"] | commands["superexec"]
    assert environment(coordinator)["FLWR_TELEMETRY_ENABLED"] == "0"


@needs_nginx
def test_nginx_own_words_about_a_changed_configuration(coordinator: Coordinator) -> None:
    with (coordinator.gateway / "nginx.conf").open("a") as file:
        file.write("proxy_everything on;\n")
    with pytest.raises(ConfigError, match=r'nginx\.conf.*unknown directive "proxy_everything"'):
        services_of(coordinator)


def test_a_missing_nginx_is_one_error_with_the_remedy(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.coordinator.gateway._ELSEWHERE", ())
    monkeypatch.setenv("PATH", str(coordinator.path))
    with pytest.raises(ConfigError, match=r"nginx is not installed.*apt install nginx"):
        services_of(coordinator)


def test_a_key_that_others_can_read_stops_the_start(coordinator: Coordinator) -> None:
    (coordinator.certificates / "server.key").chmod(0o640)
    with pytest.raises(ConfigError, match=r"server\.key: others .* can read it; chmod 600"):
        check_start(coordinator)


def test_a_certificate_warns_before_it_ends_and_stops_the_start_then(
    coordinator: Coordinator,
) -> None:
    authority = Signed.load(coordinator.certificates, "ca")
    for age, left in ((710, 20), (731, -1)):
        issued = issue(authority, LOOPBACK, now() - timedelta(days=age))
        issued.save(coordinator.certificates, "superlink")
        if left > 0:
            warned = [said for said in check_start(coordinator) if "superlink.crt" in said]
            assert len(warned) == 1
            assert "ends in 20 days; irene-server renew" in warned[0]
        else:
            with pytest.raises(ConfigError, match=r"superlink\.crt: has ended; irene-server renew"):
                check_start(coordinator)


def test_a_taken_port_is_named_by_its_key(coordinator: Coordinator) -> None:
    with contextlib.closing(socket.socket()) as other:
        other.bind(("127.0.0.1", coordinator.settings.loopback.superlink))
        other.listen()
        with pytest.raises(ConfigError, match=r"loopback\.superlink: something else listens on"):
            check_start(coordinator)


def test_what_needs_a_start_says_so(coordinator: Coordinator) -> None:
    with pytest.raises(ConfigError, match="is not started; run irene-server start"):
        require_started(coordinator)
