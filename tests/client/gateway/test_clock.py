"""The coordinator's time: read over TLS, kept, and what is said of a clock that is wrong."""

import contextlib
import importlib
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.consent.consent import journal_of
from client.gateway import clock
from client.gateway.clock import MOST_S, Reading, coordinators_time, keep, kept
from client.gateway.clock_probe import read_clock
from client.gateway.flower_clock import DATED, SIGNED, keep_time
from client.node import supernode
from client.node.pulse import pulse_of
from client.node.supernode import Timekeeper
from client.node.watch import Watch
from irene_model.errors import IreneError
from tests.helpers.connect_proxy import ConnectProxy
from tests.helpers.hospital_folder import HospitalFolder
from tests.helpers.tls_superlink import NAME, certificates

SECONDS = st.floats(-2 * MOST_S, 2 * MOST_S)


@contextlib.contextmanager
def gateway(folder: Path, date: Callable[[], str | None]) -> Iterator[str]:
    """A server of TLS in `folder` that says it is `date`; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/health"
            self.send_response_only(403)  # whatever it answers, it is dated
            if (said := date()) is not None:
                self.send_header("Date", said)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def later(seconds: float) -> Callable[[], str]:
    """The date in so many seconds."""
    return lambda: format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize("seconds", [0.0, 3600.0, -3600.0])
def test_the_gateways_clock_is_read_and_never_overtaken(tmp_path: Path, seconds: float) -> None:
    certificates(tmp_path)
    with gateway(tmp_path, later(seconds)) as server:
        reading = read_clock(server, tmp_path / "ca.crt", None)
    assert reading is not None and not reading.trouble
    true = time.time() + seconds
    assert true - reading.slack - 1.0 <= reading.now() <= true
    assert bool(reading.complaint) == (seconds != 0)


@pytest.mark.parametrize("said", [None, "", "yesterday", "Thu, 99 Foo 2026 99:99:99 GMT"])
def test_what_says_no_time_is_no_reading(tmp_path: Path, said: str | None) -> None:
    certificates(tmp_path)
    with gateway(tmp_path, lambda: said) as server:
        assert read_clock(server, tmp_path / "ca.crt", None) is None


def test_only_the_studys_own_ca_is_believed(tmp_path: Path) -> None:
    for name in ("one", "other"):
        certificates(tmp_path / name)
    with gateway(tmp_path / "one", later(3600)) as server:
        assert read_clock(server, tmp_path / "other" / "ca.crt", None) is None
        assert read_clock(server, tmp_path / "none.crt", None) is None
        wrong = server.replace("127.0.0.1", "127.0.0.2")  # not a name of the certificate
        assert read_clock(wrong, tmp_path / "one" / "ca.crt", None) is None
    assert read_clock(server, tmp_path / "one" / "ca.crt", None) is None  # nobody listens


@pytest.mark.parametrize(("days", "trouble"), [(10, "early"), (-1, "late")])
def test_a_certificate_of_another_time_tells_of_the_clock(
    tmp_path: Path, days: int, trouble: str
) -> None:
    certificates(tmp_path, until=datetime.now(UTC) + timedelta(days=days))
    with gateway(tmp_path, later(0)) as server:
        reading = read_clock(server, tmp_path / "ca.crt", None)
    assert reading is not None and reading.trouble == trouble and not reading.helps
    assert "by this machine's clock (20" in reading.complaint and "NTP" in reading.complaint
    assert abs(reading.now() - time.time()) < 1


@pytest.mark.parametrize("login", ["", "a user:p@ss/word"])
def test_the_clock_is_read_through_the_proxy(tmp_path: Path, login: str) -> None:
    certificates(tmp_path)
    with gateway(tmp_path, later(600)) as server:
        there = ("127.0.0.1", int(server.rpartition(":")[2]))
        proxy = ConnectProxy(names={f"{NAME}:443": there}, login=login)
        prefix = "a%20user:p%40ss%2Fword@" if login else ""
        reading = read_clock(f"{NAME}:443", tmp_path / "ca.crt", f"http://{prefix}{proxy.address}")
        assert reading is not None and 590 < reading.offset <= 600
        (first,) = proxy.asked
        assert first.startswith(f"CONNECT {NAME}:443 HTTP/1.")
        assert read_clock(f"{NAME}:443", tmp_path / "ca.crt", None) is None  # nobody knows the name
        if login:
            way = f"http://{proxy.address}"
            assert read_clock(f"{NAME}:443", tmp_path / "ca.crt", way) is None
        proxy.close()


@given(offset=SECONDS, passed=st.floats(0, 1e6), step=SECONDS)
def test_between_two_readings_nobody_can_set_the_time(
    offset: float, passed: float, step: float
) -> None:
    reading = Reading(offset=offset, slack=1.0, wall=1e9, steady=50.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock.time, "monotonic", lambda: 50.0 + passed)
        patch.setattr(clock.time, "time", lambda: 1e9 + passed + step)
        expected = 1e9 + offset + passed if abs(offset) <= MOST_S else 1e9 + passed + step
        assert reading.now() == pytest.approx(expected, abs=1e-3)
        assert reading.stale == (abs(step) > 1.0) or abs(abs(step) - 1.0) < 1e-3


def test_a_reading_is_kept_for_others(tmp_path: Path) -> None:
    assert kept(tmp_path) is None
    assert abs(coordinators_time(tmp_path) - time.time()) < 1
    reading = Reading(offset=-60.0, slack=1.2, wall=time.time(), steady=time.monotonic())
    keep(tmp_path, reading)
    assert kept(tmp_path) == reading
    assert abs(coordinators_time(tmp_path) - (time.time() - 60)) < 1
    for broken in ("", "{", "[]", '{"offset": 1}', '{"offset": NaN, "wall": 1, "steady": 1}',
                   '{"offset": "a", "wall": 1, "steady": 1}',
                   f'{{"offset": 0, "slack": 0, "wall": {"9" * 400}, "steady": 1}}'):  # fmt: skip
        (tmp_path / "clock.json").write_text(broken)
        assert kept(tmp_path) is None
    keep(tmp_path, None)
    keep(tmp_path, None)
    assert not list(tmp_path.iterdir())


def test_flower_signs_and_dates_by_the_time_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    from flwr.app import Message, RecordDict
    from flwr.supercore.task_identity import TaskIdentity
    from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

    for name in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)
    modules = [importlib.import_module(name) for name in (SIGNED, *DATED)]
    for module in modules:
        monkeypatch.setattr(module, "now", module.now)  # to be put back
    keep_time(lambda: 1.8e9, sign=lambda: 1.9e9)
    assert [module.now().timestamp() for module in modules] == [1.9e9, 1.8e9, 1.8e9]
    sent = Message(RecordDict(), 7, "query", ttl=60.0)
    assert sent.metadata.created_at == 1.8e9
    # A reply would be refused as expired where this machine's clock is an hour ahead.
    assert Message(RecordDict(), reply_to=sent).metadata.ttl == pytest.approx(60.0)
    assert "now" in NodeAuthHttpInterceptor.intercept.__code__.co_names
    with pytest.raises(IreneError, match="nothing was run"):
        keep_time(time.time)  # it is not as Flower made it any more


def test_the_time_is_read_again_when_the_clock_was_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    steady, wall = [100.0], [1e9]
    monkeypatch.setattr(clock.time, "monotonic", lambda: steady[0])
    monkeypatch.setattr(clock.time, "time", lambda: wall[0])

    def read(*_: object) -> Reading | None:
        asked.append(wall[0])
        true = 1e9 + steady[0] - 100.0
        return Reading(offset=true - wall[0], slack=1.0, wall=wall[0], steady=steady[0])

    monkeypatch.setattr(supernode, "read_clock", read)
    keeper = Timekeeper(
        folder=tmp_path, server="h:1", ca=Path(), proxy=None, pulse=pulse_of(tmp_path, "supernode")
    )
    assert keeper.sign() == 1e9 and len(asked) == 1
    steady[0], wall[0] = 130.0, 1e9 + 30.0
    assert keeper.sign() == 1e9 + 30 and len(asked) == 1
    wall[0] += 3600.0  # somebody set the clock
    assert keeper.sign() == 1e9 + 30 and len(asked) == 2
    assert kept(tmp_path).offset == -3600.0  # type: ignore[union-attr]
    monkeypatch.setattr(supernode, "read_clock", lambda *_: asked.append(0.0))  # out of reach
    wall[0] -= 3600.0
    steady[0] += 20.0
    assert keeper.sign() == 1e9 + 50 and len(asked) == 3
    assert keeper.sign() == 1e9 + 50 and len(asked) == 3  # not with every request
    assert pulse_of(tmp_path, "supernode").silent_s() is not None


def test_people_and_the_journal_hear_of_a_wrong_clock_once(hospital: HospitalFolder) -> None:
    said: list[str] = []
    watch = Watch(site=hospital.site, site_file=hospital.site_file, observe=said.append)

    def told(offset: float, trouble: str = "") -> int:
        said.clear()
        watch.tell_clock(
            Reading(offset=offset, slack=1.0, wall=1e9, steady=1.0, trouble=trouble)  # type: ignore[arg-type]
        )
        return len(said)

    watch.tell_clock(None)
    assert [told(2.0), told(-3.0), told(0.5)] == [0, 0, 0]
    assert told(3600.0) == 1 and "60 min behind the coordinator's" in said[0]
    assert told(3605.0) == told(3590.0) == 0
    assert told(-90.0) == 1 and "90 s ahead of" in said[0]
    assert told(0.0) == 1 and said == ["this machine's clock is right again"]
    assert told(0.0, "early") == 1
    entries = journal_of(hospital.site).entries()
    assert [entry.kind for entry in entries] == ["clock wrong"] * 2 + ["clock right", "clock wrong"]
