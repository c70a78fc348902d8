"""The real nginx with the generated configuration; a small server stands for the SuperLink."""

import http.client
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from irene_model.errors import ConfigError
from irene_model.operations.gateway_reach import reach
from server.coordinator import gateway
from server.coordinator.certificates import Signed, issue, new_authority, now
from server.coordinator.coordinator import LOOPBACK, Coordinator, speaks_ipv6
from server.coordinator.services import listens
from tests.helpers.coordinator_folder import new_coordinator

pytestmark = pytest.mark.skipif(
    shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin") is None,
    reason="nginx is not installed",
)
PIECE = 5 * 1024 * 1024 + 4096  # what Flower sends at most in one request, and its envelope


class _Upstream(BaseHTTPRequestHandler):
    """Answers with what reached it."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = f"{self.path} {len(body)}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.send_header("Connection", "close")  # or its threads outlive the server
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST  # noqa: N815  # http.server's name

    def log_message(self, *_arguments: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def coordinator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coordinator]:
    hosts = ("localhost", "127.0.0.1", *(["::1"] if speaks_ipv6() else []))
    made = new_coordinator(tmp_path_factory.mktemp("gateway") / "federation", hosts)
    nginx = gateway.find_nginx()
    gateway.check(nginx, made)
    process = subprocess.Popen(
        gateway.command(nginx, made), cwd=made.gateway, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 20
        while not listens(made.settings.port):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield made
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def upstream(coordinator: Coordinator) -> Iterator[Coordinator]:
    """The stand-in serves with the SuperLink's own certificate."""
    with serving(coordinator, coordinator.certificates):
        yield coordinator


class serving:  # noqa: N801  # a context manager
    def __init__(self, coordinator: Coordinator, certificates: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / "superlink.crt", certificates / "superlink.key")
        place = ("127.0.0.1", coordinator.settings.loopback.superlink)
        self.server = ThreadingHTTPServer(place, _Upstream)
        self.server.daemon_threads = True
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)

    def __enter__(self) -> None:
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def __exit__(self, *_error: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def ask(
    coordinator: Coordinator, path: str, *, method: str = "POST", body: bytes = b""
) -> tuple[int, str]:
    """One request with the path exactly as given; the status and what came back."""
    trusted = ssl.create_default_context(cafile=str(coordinator.certificates / "ca.crt"))
    connection = http.client.HTTPSConnection(
        "localhost", coordinator.settings.port, context=trusted, timeout=30
    )
    try:
        connection.request(method, path, body=body)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()


def test_the_hospitals_api_and_health_get_through(upstream: Coordinator) -> None:
    assert ask(upstream, "/v1/fleet/pull-messages", body=b"abc") == (
        200,
        "/v1/fleet/pull-messages 3",
    )
    assert ask(upstream, "/health", method="GET") == (200, "/health 0")


@pytest.mark.skipif(not speaks_ipv6(), reason="this machine has no IPv6")
def test_hospitals_get_through_by_ipv6_too(upstream: Coordinator) -> None:
    ca, port = upstream.certificates / "ca.crt", upstream.settings.port
    assert reach("::1", port, ca).state == "serving"
    assert reach("localhost", port, ca, through="::1").state == "serving"
    assert reach("127.0.0.1", port, ca).state == "serving"


def test_an_ipv6_host_that_the_gateway_does_not_listen_on_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nginx = gateway.find_nginx()
    if speaks_ipv6():
        made = new_coordinator(tmp_path / "federation", ("2001:db8::1", "a.org"))
        assert made.settings.address == f"[2001:db8::1]:{made.settings.port}"
        gateway.check(nginx, made)
        place = made.gateway / "nginx.conf"
        place.write_text(place.read_text().replace("listen [::]:", "listen 127.0.0.2:"))
        with pytest.raises(ConfigError, match=r"add `listen \[::\]:\d+ ssl;` below the other"):
            gateway.check(nginx, made)
    monkeypatch.setattr("server.coordinator.coordinator.speaks_ipv6", lambda: False)
    with pytest.raises(ConfigError, match="--host 2001:db8::1: this machine has no IPv6"):
        new_coordinator(tmp_path / "other", ("a.org", "2001:db8::1"))
    old = new_coordinator(tmp_path / "old")
    assert "[::]" not in (old.gateway / "nginx.conf").read_text()
    gateway.check(nginx, old)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/docs",
        "/openapi.json",
        "/v1/control/start-run",
        "/v1/runtime/push-messages",
        "/v1/responses",
        "/v1/fleet/../control/start-run",
        "/v1/fleet/%2e%2e/control/start-run",
        "/v1/fleet/..%2fcontrol/start-run",
        "/v1/control/../fleet/pull-messages",
        "/v1/control/start-run/../../fleet/pull-messages",
        "/v1/control%2f..%2f..%2fv1/fleet/pull-messages",
        "//v1/control/start-run",
        "/v1/./control/start-run",
        "/v1/fleet/pull-messages?next=/v1/control/start-run",
        "/v1/fleet/pull-messages/",
        "/v1/fleet/",
        "/V1/CONTROL/start-run",
        "/health/../v1/control/start-run",
    ],
)
def test_nothing_else_gets_through(upstream: Coordinator, path: str) -> None:
    assert ask(upstream, path)[0] == 403


def test_what_was_refused_is_in_the_log_and_what_passed_is_not(upstream: Coordinator) -> None:
    log = upstream.logs / "gateway.log"
    before = log.read_text().splitlines() if log.exists() else []
    ask(upstream, "/v1/fleet/pull-messages")
    ask(upstream, "/v1/control/list-runs")
    deadline = time.monotonic() + 10
    while len(log.read_text().splitlines()) == len(before) and time.monotonic() < deadline:
        time.sleep(0.02)  # nginx writes a request down after it has answered
    (line,) = log.read_text().splitlines()[len(before) :]
    assert line.startswith("127.0.0.1 [")
    assert '"POST /v1/control/list-runs HTTP/1.1" 403' in line


def test_other_methods_are_refused(upstream: Coordinator) -> None:
    assert ask(upstream, "/v1/fleet/pull-messages", method="GET")[0] == 403
    assert ask(upstream, "/health", method="POST")[0] == 403


def test_a_piece_of_an_update_passes_and_a_flood_does_not(upstream: Coordinator) -> None:
    path = "/v1/fleet/push-object"
    assert ask(upstream, path, body=bytes(PIECE)) == (200, f"{path} {PIECE}")
    with_room = ssl.create_default_context(cafile=str(upstream.certificates / "ca.crt"))
    connection = http.client.HTTPSConnection(
        "localhost", upstream.settings.port, context=with_room, timeout=30
    )
    connection.putrequest("POST", path)
    connection.putheader("Content-Length", str(65 * 1024 * 1024))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_without_a_superlink_the_answer_is_one_that_flower_tries_again_after(
    coordinator: Coordinator,
) -> None:
    assert ask(coordinator, "/v1/fleet/pull-messages")[0] == 502


def test_a_superlink_with_another_authoritys_certificate_is_not_talked_to(
    coordinator: Coordinator, tmp_path: Path
) -> None:
    issue(new_authority("Another", now()), LOOPBACK, now()).save(tmp_path, "superlink")
    with serving(coordinator, tmp_path):
        assert ask(coordinator, "/v1/fleet/pull-messages")[0] == 502
    other_host = issue(Signed.load(coordinator.certificates, "ca"), ["elsewhere.org"], now())
    other_host.save(tmp_path, "superlink")
    with serving(coordinator, tmp_path):
        assert ask(coordinator, "/v1/fleet/pull-messages")[0] == 502


def test_old_protocols_are_refused(coordinator: Coordinator) -> None:
    old = ssl.create_default_context(cafile=str(coordinator.certificates / "ca.crt"))
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    connection = http.client.HTTPSConnection(
        "localhost", coordinator.settings.port, context=old, timeout=30
    )
    with pytest.raises(ssl.SSLError):
        connection.request("GET", "/health")
    connection.close()
