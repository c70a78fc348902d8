"""Wrong port, wrong name, wrong CA, wrong time: told apart, on both sides, over IPv4 and IPv6."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from client.gateway.connection import Connection, Progress, host_and_port, remember
from client.gateway.trouble import explained, sentence
from irene_model.errors import ConfigError
from irene_model.operations.gateway_reach import reach
from irene_model.study.settings import parse
from server.coordinator import gateway_probe
from server.coordinator.certificates import Signed, issue, new_authority
from server.coordinator.coordinator import speaks_ipv6
from tests.helpers.hospital_folder import HospitalFolder
from tests.helpers.ports import free_ports

NOW = datetime.now(UTC).replace(microsecond=0)
NAMES = ("gateway.example.org", "127.0.0.1")
needs_ipv6 = pytest.mark.skipif(not speaks_ipv6(), reason="this machine has no IPv6")


class Quiet(HTTPServer):
    """One that says nothing of clients which break off."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing."""


class QuietV6(Quiet):
    address_family = socket.AF_INET6


@contextlib.contextmanager
def gateway(
    folder: Path,
    *,
    names: Sequence[str] = NAMES,
    when: datetime = NOW,
    authority: str = "ca",
    answer: int = 200,
    at: str = "127.0.0.1",
) -> Iterator[int]:
    """A server with a certificate for `names` by `authority`, issued at `when`; gives its port."""
    certificate = issue(Signed.load(folder, authority), names, when)
    certificate.save(folder, "served")

    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the base class's name
            self.send_response(answer if self.path == "/health" else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "served.crt", folder / "served.key")
    with (QuietV6 if ":" in at else Quiet)((at, 0), Health) as listening:
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield listening.server_address[1]
        finally:
            listening.shutdown()
            thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("ca", "other"):
        new_authority("Federation of gateway.example.org", NOW - timedelta(days=1000)).save(
            tmp_path, name
        )
    return tmp_path


def state_of(folder: Path, port: int, host: str = "gateway.example.org") -> str:
    state = reach(host, port, folder / "ca.crt", through="127.0.0.1").state
    assert gateway_probe.reach(host, port, folder / "ca.crt") == state  # both sides say the same
    return state


@pytest.mark.parametrize(
    ("options", "state"),
    [
        ({}, "serving"),
        ({"answer": 502}, "up without its SuperLink"),
        ({"answer": 404}, "no gateway: what listens on the port is another service of its CA"),
        ({"names": ["elsewhere.org"]}, "not the one that its certificate names"),
        ({"authority": "other"}, "not trusted by its CA"),  # though it has the CA's own name
        ({"authority": "other", "names": ["elsewhere.org"]}, "not trusted by its CA"),
        ({"when": NOW - timedelta(days=900)}, "out of date: its certificate has ended"),
        ({"when": NOW + timedelta(days=9)}, "too new: its certificate is not valid yet"),
    ],
)
def test_what_is_wrong_with_who_answers(
    folder: Path, options: dict[str, object], state: str
) -> None:
    with gateway(folder, **options) as port:  # type: ignore[arg-type]
        assert state_of(folder, port).startswith(state)


def test_a_wrong_name_is_told_with_the_right_ones(folder: Path) -> None:
    with gateway(folder, names=["a.example.org", *["b\n.org", "x" * 60] * 9]) as port:
        found = reach("gateway.example.org", port, folder / "ca.crt", through="127.0.0.1")
    assert found.names == ("a.example.org", *["x" * 60] * 7)  # what is no name is not shown


@pytest.mark.parametrize("says", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 400 Bad\r\n\r\n"])
def test_a_port_of_another_service_is_told(
    folder: Path, says: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("irene_model.operations.gateway_reach._TIMEOUT_S", 0.3)

    def serve(listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                accepted.append(listening.accept()[0])
                accepted[-1].sendall(says)

    accepted: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        port = listening.getsockname()[1]
        try:
            assert state_of(folder, port).endswith("speaks no TLS")
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            for each in accepted:
                each.close()


def test_nobody_listens_or_nobody_is_there(folder: Path) -> None:
    assert state_of(folder, free_ports(1)[0]) == "not there: nothing listens on the port"
    unknown = reach("does-not-exist.invalid", 443, folder / "ca.crt")
    assert unknown.state == "unreachable"
    assert reach("x" * 80 + ".org", 443, folder / "ca.crt").state == "unreachable"


@needs_ipv6
def test_an_ipv6_address_is_reached_and_its_certificate_is_checked(folder: Path) -> None:
    with gateway(folder, names=["::1"], at="::1") as port:
        assert reach("::1", port, folder / "ca.crt").state == "serving"
        assert gateway_probe.reach("::1", port, folder / "ca.crt") == "serving"
        other = reach("2001:db8::1", port, folder / "ca.crt", through="::1")
    assert (other.state, other.names) == ("not the one that its certificate names", ("::1",))


def test_each_trouble_of_a_node_has_its_own_sentence_with_what_to_do(
    hospital: HospitalFolder, folder: Path
) -> None:
    failing = Progress(state="untrusted")
    assert explained(hospital.site, failing) == failing  # never started: nothing to ask

    def said(server: str, state: str = "untrusted") -> str:
        ca, key = folder / "ca.crt", folder / "key"
        remember(hospital.site, Connection(server=server, ca=ca, key=key))
        return explained(hospital.site, Progress(state=state)).sentence  # type: ignore[arg-type]

    sentences = []
    with gateway(folder) as port:
        sentences.append(said(f"localhost:{port}"))
        assert (
            "is not for localhost: use one of its names (gateway.example.org, 127.0.0.1)"
            in (sentences[-1])
        )
        assert said(f"127.0.0.1:{port}", "unreachable").startswith("the coordinator can't be")
        assert said(f"127.0.0.1:{port}", "connected") == "connected to the coordinator"
    with gateway(folder, authority="other") as port:
        sentences.append(said(f"127.0.0.1:{port}"))
        assert "was not signed by the CA in" in sentences[-1] and "sha256" in sentences[-1]
    with gateway(folder, when=NOW - timedelta(days=900)) as port:
        sentences.append(said(f"127.0.0.1:{port}"))
        assert "has ended" in sentences[-1] and "ask the coordinator to renew" in sentences[-1]
    sentences.append(said(f"127.0.0.1:{port}", "unreachable"))
    assert f"nothing listens on port {port} of 127.0.0.1: compare the port" in sentences[-1]
    sentences.append(said("does-not-exist.invalid:443", "unreachable"))
    assert "its name is unknown here" in sentences[-1]
    assert len(set(sentences)) == len(sentences)
    assert all(each.endswith("; trying again") for each in sentences)


def test_an_ipv6_address_stands_in_brackets() -> None:
    def server(text: str) -> str:
        return parse(Connection, {"server": text, "ca": "/ca", "key": "/key"}, "it").server

    assert host_and_port(server("[2001:db8::1]:443")) == ("2001:db8::1", 443)
    assert host_and_port(server("irene.example.org:443")) == ("irene.example.org", 443)
    for odd in ("2001:db8::1:443", "::1:443", "[::1:443", "[a.org]:443:443"):
        with pytest.raises(ConfigError, match=r"stands in brackets, as \[2001:db8::1\]:443"):
            server(odd)
    assert sentence(reach("::1", 1, Path("/none")), Connection(
        server="[::1]:1", ca=Path("/none"), key=Path("/none")
    ))  # fmt: skip
