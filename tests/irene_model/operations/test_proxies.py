"""Loopback never uses a proxy; the way out does where the site says so."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.gateway.connection import Connection, remember
from client.gateway.proxy import checked, shown, way_out
from client.node_options import chosen_connection
from irene_model.errors import ConfigError
from irene_model.operations.proxies import loopback_direct, without_proxies
from irene_model.study.settings import parse
from server.coordinator.services import environment
from tests.helpers.coordinator_folder import new_coordinator
from tests.helpers.hospital_folder import HospitalFolder

HOUSE = "http://127.0.0.1:9"  # nothing listens there
NAMES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
# As Flower's clients do.
ASK = """
import sys, httpx
for host in ("127.0.0.1", "localhost"):
    httpx.Client(timeout=5).get(f"http://{host}:{sys.argv[1]}/").raise_for_status()
"""


@pytest.fixture
def port() -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_flowers_clients_reach_loopback_whatever_the_environment_says(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, HOUSE)
    monkeypatch.setenv("NO_PROXY", "intranet.example.org")
    monkeypatch.delenv("no_proxy", raising=False)

    def code(env: dict[str, str]) -> int:
        words = [sys.executable, "-c", ASK, str(port)]
        return subprocess.run(words, env=env, capture_output=True, check=False).returncode

    inherited = dict(os.environ)
    assert code(inherited) != 0  # that is how a node was deaf
    assert code(loopback_direct(inherited)) == 0
    assert code(without_proxies(inherited)) == 0
    coordinators = environment(new_coordinator(tmp_path / "federation"))
    assert code(coordinators) == 0
    assert coordinators["https_proxy"] == HOUSE  # the house's own ways out are left
    assert coordinators["NO_PROXY"] == "intranet.example.org,127.0.0.1,::1,localhost"


@given(st.dictionaries(st.sampled_from([*NAMES, "no_proxy", "NO_PROXY", "PATH"]), st.text()))
def test_a_node_knows_no_proxy_of_the_environment(given: dict[str, str]) -> None:
    left = without_proxies(given)
    named = {name for name in left if name.lower().endswith("_proxy")}
    assert named == {"no_proxy", "NO_PROXY"}
    assert left["no_proxy"] == left["NO_PROXY"] == "127.0.0.1,::1,localhost"
    assert left.get("PATH") == given.get("PATH")
    kept = loopback_direct(given)
    assert kept["no_proxy"] == kept["NO_PROXY"]
    assert set(kept["no_proxy"].split(",")) >= {"127.0.0.1", "::1", "localhost"}


@pytest.mark.parametrize(
    "proxy",
    ["", "proxy", "proxy:3128", "https://proxy:3128", "http://proxy", "http://proxy:99999",
     "http://proxy:3128/path", "http://:3128", "socks5://proxy:1080", "http://[::1:3128"],
)  # fmt: skip
def test_a_proxy_is_http_host_and_port(proxy: str) -> None:
    with pytest.raises(ValueError, match="expected http://HOST:PORT"):
        checked(proxy)


def test_a_password_is_not_for_the_list_of_processes() -> None:
    document = {"server": "h:1", "ca": "/ca", "key": "/key", "proxy": "http://me:4711@proxy:3128"}
    with pytest.raises(ConfigError, match="proxy: a name and a password would be seen") as refused:
        parse(Connection, document, "the connection")
    assert "4711" not in str(refused.value)
    assert checked("http://proxy:3128/") == "http://proxy:3128"


def test_the_environments_proxy_counts_where_the_site_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in (*NAMES, "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="HTTPS_PROXY is not set"):
        way_out("environment", "irene.example.org:443")
    monkeypatch.setenv("HTTPS_PROXY", "http://me:4711@proxy:3128")
    assert way_out(None, "irene.example.org:443") is None
    assert way_out("http://other:1", "irene.example.org:443") == "http://other:1"
    assert way_out("environment", "irene.example.org:443") == "http://me:4711@proxy:3128"
    assert "4711" not in shown("environment") and shown(None) == ""
    monkeypatch.setenv("no_proxy", "example.org")
    assert way_out("environment", "irene.example.org:443") is None
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("https_proxy", "proxy:3128")
    assert way_out("environment", "irene.example.org:443") == "http://proxy:3128"
    monkeypatch.setenv("https_proxy", "socks5://proxy:3128")
    with pytest.raises(ConfigError, match="HTTPS_PROXY: expected http"):
        way_out("environment", "irene.example.org:443")


def test_the_proxy_is_remembered_until_it_is_taken_back(hospital: HospitalFolder) -> None:
    site, ca, key = hospital.site, Path("/ca"), Path("/key")
    first = chosen_connection(site, "h:1", ca, key, "http://proxy:3128")
    assert first.proxy == "http://proxy:3128"
    remember(site, first)
    assert chosen_connection(site, None, None, None, None) == first
    assert chosen_connection(site, None, None, None, "environment").proxy == "environment"
    assert chosen_connection(site, None, None, None, "none").proxy is None
