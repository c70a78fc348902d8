"""The live page's application: what it shows, whom it answers, and that it only reads."""

import http.client
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path
from urllib.parse import urlencode

import pytest
import uvicorn

from irene_model.errors import ConfigError
from server.watch.web import log_end, serve, web_app
from tests.helpers.watched_run import HOSTILE, SITES, write_info, write_place

Browse = Callable[..., "Browser"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_place(tmp_path, now=datetime.now(UTC))
    return tmp_path


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    headers: Message
    text: str


@dataclass(frozen=True)
class Browser:
    """Asks the server at `port`, which it calls `host`."""

    port: int
    host: str

    def get(self, path: str, *, method: str = "GET", **query: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        address = f"{path}?{urlencode(query)}" if query else path
        connection.request(method, address, headers={"Host": self.host})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return Answer(status=answer.status, headers=answer.headers, text=text)


@pytest.fixture
def browse() -> Iterator[Browse]:
    """Serve a place for real, and visit it."""
    servers: list[tuple[uvicorn.Server, threading.Thread]] = []

    def _browse(place: Path, host: str = "127.0.0.1:8080") -> Browser:
        config = uvicorn.Config(web_app(place), host="127.0.0.1", port=0, ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        servers.append((server, thread))
        while not server.started:
            assert thread.is_alive()
            thread.join(0.01)
        return Browser(server.servers[0].sockets[0].getsockname()[1], host)

    yield _browse
    for server, thread in servers:
        server.should_exit = True
        thread.join(10)


def test_the_page_names_every_site_with_its_outcome_in_words(place: Path, browse: Browse) -> None:
    page = browse(place).get("/").text
    for site in SITES:
        assert f'<th scope="row">{site}</th>' in page
    for outcome in ("updated", "waiting", "refused"):
        assert re.search(rf'<span class="badge {outcome}">. {outcome}</span>', page)
    assert 'title="round 2: missing"' in page and 'title="round 1: not named"' in page
    assert "5<span" in page and "of 12" in page and "0.750" in page
    assert "the update&#39;s norm is too large" in page


def test_what_sites_say_is_text(place: Path, browse: Browse) -> None:
    page = browse(place).get("/").text
    assert HOSTILE not in page and "&lt;img src=x onerror=alert(1)&gt;" in page


def test_the_page_needs_nothing_from_elsewhere(place: Path, browse: Browse) -> None:
    client = browse(place)
    page = client.get("/").text
    sources = re.findall(r'(?:src|href|action)="([^"]*)"', page)
    assert {s for s in sources if not s.startswith(("/", "data:,"))} == set()
    assert " style=" not in page and "<style" not in page  # the policy forbids both
    for path in ("/live.css", "/live.js"):
        text = client.get(path).text
        assert "http" not in text and "@import" not in text and "url(" not in text


def test_the_same_state_gives_the_same_bytes(place: Path, browse: Browse) -> None:
    client = browse(place)
    assert client.get("/live").text == client.get("/live").text
    assert client.get("/live").text.strip() in client.get("/").text


def test_only_this_machine_is_a_host(place: Path, browse: Browse) -> None:
    here = browse(place)
    for host in ("evil.example", "127.0.0.1.evil.example", "evil.example:8080", "0.0.0.0:8080", ""):
        for path in ("/", "/live", "/metrics", "/live.js", "/report?run=first"):
            answer = Browser(here.port, host).get(path)
            assert answer.status == 400 and "north" not in answer.text
    for host in ("127.0.0.1", "localhost:9", "localhost"):
        assert Browser(here.port, host).get("/").status == 200


def test_every_answer_forbids_frames_scripts_from_elsewhere_and_caches(
    place: Path, browse: Browse
) -> None:
    client = browse(place)
    for path in ("/", "/live", "/metrics", "/nothing", "/report?run=none"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == "no-store"
        assert "access-control-allow-origin" not in headers


def test_a_run_that_is_not_there_is_not_found_and_no_path_is_made_of_it(
    place: Path, browse: Browse
) -> None:
    (place / "report.html").write_text("outside")
    client = browse(place)
    for run in ("none", "../first", "..", "first/../first", "/etc", ""):
        for path in ("/", "/live", "/report"):
            assert client.get(path, run=run).status == 404


def test_nothing_can_be_sent_and_nothing_is_written(place: Path, browse: Browse) -> None:
    client = browse(place)
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    for path in ("/", "/live", "/metrics", "/report?run=first", "/live.css"):
        client.get(path)
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            assert client.get(path, method=method).status == 405
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == before


def test_several_runs_can_be_chosen_and_the_newest_is_first(place: Path, browse: Browse) -> None:
    study = (place / "runs" / "first" / "study.yaml").read_text()
    second = place / "runs" / "second"
    second.mkdir()
    (second / "study.yaml").write_text(study)
    write_info(second, finished="2026-03-01T12:00:00+00:00")
    (second / "report.html").write_text("<p>the report")
    client = browse(place)
    page = client.get("/").text
    assert '<option value="second" selected>' in page and '<option value="first">' in page
    assert 'href="/report?run=second"' in page
    assert 'data-run="first"' in client.get("/", run="first").text
    assert client.get("/report", run="second").text == "<p>the report"


def test_before_anything_ran_the_page_says_what_to_do(tmp_path: Path, browse: Browse) -> None:
    page = browse(tmp_path).get("/").text
    assert "No run yet" in page and "irene-server run" in page


def test_before_the_first_round_all_enrolled_sites_are_there(
    tmp_path: Path, browse: Browse
) -> None:
    write_place(tmp_path, now=datetime.now(UTC), done=0)
    page = browse(tmp_path).get("/").text
    assert page.count("before the first round") == 4
    assert "The first round is not over yet" in page


def test_a_run_that_can_not_be_read_is_named(place: Path, browse: Browse) -> None:
    (place / "runs" / "first" / "study.yaml").write_text("[")
    page = browse(place).get("/").text
    assert "The run can&#39;t be read" in page or "The run can't be read" in page


def test_the_end_of_the_log_is_of_the_run_or_else_of_the_server(
    place: Path, browse: Browse
) -> None:
    client = browse(place)
    assert "Nothing has been logged" in client.get("/").text
    (place / "logs").mkdir()
    coloured = f"\x1b[92mINFO\x1b[0m round 1 took 2 s {HOSTILE}\n"
    (place / "logs" / "superexec.log").write_text(coloured)
    page = client.get("/").text
    assert "INFO round 1 took 2 s &lt;img" in page
    (place / "runs" / "first" / "run.log").write_bytes(b"line\n" * 10_000 + b"the \xff end")
    page = client.get("/").text
    assert "the � end" in page and "took 2 s" not in page
    assert len(log_end(place, None).splitlines()) == 1
    assert page.count("line\n") < 100


def _samples(text: str) -> dict[str, float]:
    """An independent, strict reader of Prometheus' text format."""
    found: dict[str, float] = {}
    kinds: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in kinds
            kinds[name] = kind
        elif not line.startswith("# HELP "):
            match = re.fullmatch(r'([a-z_]+)(\{(?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)*\}) (\S+)', line)
            assert match, line
            assert kinds[match[1]] == "gauge"
            found[match[1] + match[2]] = float(match[3])
    return found


def test_the_metrics(place: Path, browse: Browse) -> None:
    answer = browse(place).get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    samples = _samples(answer.text)
    assert samples['irene_round{run="first"}'] == 5
    assert samples['irene_rounds_planned{run="first"}'] == 12
    assert samples['irene_run_active{run="first"}'] == 1
    assert samples['irene_run_silent{run="first"}'] == 0
    assert samples['irene_round_seconds{run="first"}'] == 240
    assert samples['irene_bytes_down{run="first"}'] == 5 * 320_000
    assert samples['irene_auroc{run="first"}'] == pytest.approx(0.75)
    assert samples['irene_sites{run="first",outcome="updated"}'] == 2
    assert samples['irene_sites{run="first",outcome="waiting"}'] == 1
    assert samples['irene_epsilon{run="first",site="north"}'] == 7
    assert not any('site="west"' in name for name in samples)  # it never gave an epsilon


def test_the_metrics_of_processes(place: Path, browse: Browse) -> None:
    state = place / "state"
    state.mkdir()
    facts = {"pid": 2**22 + 1, "started": "2026-03-01T12:00:00+00:00", "restarts": 3, "born": "1"}
    (state / "superlink.json").write_text(json.dumps(facts))
    samples = _samples(browse(place).get("/metrics").text)
    assert samples['irene_process_up{process="superlink"}'] == 0
    assert samples['irene_process_restarts{process="superlink"}'] == 3


def test_names_in_metrics_are_escaped(place: Path, browse: Browse) -> None:
    odd = place / "runs" / 'od"d\\name'
    (place / "runs" / "first").rename(odd)
    samples = _samples(browse(place).get("/metrics").text)
    assert samples[r'irene_round{run="od\"d\\name"}'] == 5


def test_metrics_before_anything_ran_are_empty(tmp_path: Path, browse: Browse) -> None:
    assert _samples(browse(tmp_path).get("/metrics").text) == {}


def test_a_folder_that_is_not_there_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        serve(tmp_path / "nothing", 1)
