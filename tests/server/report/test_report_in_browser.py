"""A run's report in a real browser: its tables are lists on a phone, and whole on paper."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.chromium import PROGRAM, Page, chromium
from tests.server.report.test_report import Folder

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed")
# All that sticks out of the page, but for the rounds' table, which alone is scrolled.
STICKS_OUT = """[...document.querySelectorAll('section *')].filter(e =>
  e.getClientRects().length && !e.closest('.tall') &&
  e.getBoundingClientRect().right > innerWidth + 1
).map(e => e.outerHTML.slice(0, 90)).slice(0, 5)"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.parametrize(("width", "medium"), [(1100, ""), (390, ""), (1032, "print")])
def test_nothing_sticks_out(page: Page, tmp_path: Path, width: int, medium: str) -> None:
    folder = Folder(tmp_path)
    folder.report()
    page.complaints.clear()
    page.ask("Emulation.setEmulatedMedia", media=medium)
    page.open((tmp_path / "report.html").as_uri(), width=width, height=900)
    root = "document.documentElement"
    assert page.value(f"{root}.scrollWidth <= {root}.clientWidth")
    assert page.value(STICKS_OUT) == []
    said = page.value("document.body.innerText")
    assert "0.812" in said and "patients with it" not in said  # that is the style's
    shown = page.value("getComputedStyle(document.querySelector('.stack thead')).display")
    assert (shown == "none") == (width == 390)
    assert page.complaints == []
