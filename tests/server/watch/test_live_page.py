"""The live page in a real browser: it shows what is there, and what comes while it is open."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.helpers.chromium import PROGRAM, Page, chromium
from tests.helpers.ports import free_port
from tests.helpers.watched_run import HOSTILE, SITES, write_place

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed"),
]
_SERVE = "import sys, pathlib, server.watch as w; w.serve(pathlib.Path(sys.argv[1]), {port})"


@contextlib.contextmanager
def _served(place: Path) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-c", _SERVE.format(port=port), str(place)]
    with subprocess.Popen(command) as process:
        try:
            deadline = time.monotonic() + 300
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.1)
            assert _listens_on(port) == ["127.0.0.1"]
            yield f"http://127.0.0.1:{port}/"
        finally:
            process.terminate()
        assert process.wait(20) in (0, -15)


def _listens_on(port: int) -> list[str]:
    """The IPv4 addresses on which somebody listens at `port`."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    places = [row[1].split(":") for row in rows if row[3] == "0A"]
    found = [address for address, number in places if int(number, 16) == port]
    return [socket.inet_ntoa(bytes.fromhex(address)[::-1]) for address in found]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def _rounds_done(page: Page) -> str:
    shown: str = page.value("document.querySelector('.card .big').innerText")
    return shown.replace("\n", "")


def test_the_page_shows_the_run_and_what_comes_while_it_is_open(tmp_path: Path, page: Page) -> None:
    folder = write_place(tmp_path, now=datetime.now(UTC))
    with _served(tmp_path) as address:
        page.complaints.clear()
        page.open(address)
        page.wait("document.querySelector('time .ago') !== null")
        assert _rounds_done(page) == "5 of 12"
        names = page.value(
            "[...document.querySelectorAll('.sites tbody th')].map(e => e.innerText)"
        )
        assert names == list(SITES)
        # A curve with its band, as wide as it is drawn, and not only in the source.
        assert page.value("document.querySelector('.band').getBoundingClientRect().width") > 200
        assert page.value("document.querySelectorAll('figure').length") == 4
        # What a site says is shown as text and never becomes part of the page.
        assert HOSTILE in page.value("document.body.innerText")
        assert page.value("document.images.length") == 0
        # Outcomes differ in colour, in symbol and in word.
        cells = "[...document.querySelectorAll('.cell')]"
        assert page.value(f"new Set({cells}.map(e => getComputedStyle(e).color)).size") >= 4
        assert page.value(f"new Set({cells}.map(e => e.innerText)).size") >= 4
        assert page.value(f"{cells}.every(e => /round \\d+: [a-z ]+/.test(e.title))")

        rounds = folder / "rounds.jsonl"
        line = json.loads(rounds.read_text().splitlines()[-1]) | {"round": 6}
        line |= {"checkpoint": "checkpoints/round-0006"}
        with rounds.open("a") as file:
            file.write(json.dumps(line)[:300])
            file.flush()
            time.sleep(5)  # a look at the half-written line
            assert _rounds_done(page) == "5 of 12"
            file.write(json.dumps(line)[300:] + "\n")
        page.wait("document.querySelector('.card .big').innerText.startsWith('6')")
        assert "every few seconds" in page.value("document.getElementById('link').innerText")
        assert page.complaints == []
    page.wait("document.getElementById('link').className === 'lost'")
    assert _rounds_done(page) == "6 of 12"  # what was seen last stays


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_the_page_fits_into_its_window_and_can_be_read(
    tmp_path: Path, page: Page, scheme: str, width: int
) -> None:
    write_place(tmp_path, now=datetime.now(UTC))
    with _served(tmp_path) as address:
        page.prefer(scheme)
        page.open(address, width=width)
        page.wait("document.querySelector('time .ago') !== null")
        assert page.value("document.documentElement.scrollWidth") <= width
        for where in (
            "body",
            ".card .more",
            ".badge.updated",
            ".badge.waiting",
            ".badge.refused",
            ".badge.missing",
            "th",
            ".reason",
            ".muted",
        ):
            assert _contrast(page, where) >= 4.5, where
        if pictures := os.environ.get("IRENE_PICTURES"):
            page.picture(Path(pictures) / f"live-{scheme}-{width}.png")


def test_before_the_first_run_and_the_first_round(tmp_path: Path, page: Page) -> None:
    with _served(tmp_path) as address:
        page.prefer("light")
        page.open(address)
        assert "No run yet" in page.value("document.body.innerText")
        write_place(tmp_path, now=datetime.now(UTC), done=0)
        page.wait("document.querySelectorAll('.sites tbody tr').length === 4")
        assert _rounds_done(page) == "0 of 12"
        if pictures := os.environ.get("IRENE_PICTURES"):
            page.picture(Path(pictures) / "live-before.png")


def _contrast(page: Page, where: str) -> float:
    """WCAG 2.2's contrast ratio of an element's text and the ground behind it."""
    script = """(() => {
      const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
      const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
        .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
      const element = document.querySelector(WHERE);
      let ground = element;
      while (ground && (numbers(getComputedStyle(ground).backgroundColor)[3] ?? 1) === 0)
        ground = ground.parentElement;
      const colours = [getComputedStyle(element).color,
        getComputedStyle(ground ?? document.documentElement).backgroundColor];
      const [dark, bright] = colours.map((c) => light(numbers(c))).sort((a, b) => a - b);
      return (bright + 0.05) / (dark + 0.05);
    })()""".replace("WHERE", json.dumps(where))
    ratio: float = page.value(script)
    return ratio
