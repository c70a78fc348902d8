"""The page of a check in a real browser: whole, quiet, and no wider than a phone."""

from collections.abc import Iterator

import pytest

from client.check.quality import survey
from client.pages.check_page import write_check_page
from tests.helpers.chromium import PROGRAM, Page, chromium
from tests.helpers.hospital_folder import write_hospital

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    hospital = write_hospital(tmp_path_factory.mktemp("hospital") / "north")
    hospital.configure("minimum_group", 10)
    path = hospital.folder / "check.html"
    write_check_page(survey(hospital.site, hospital.study), path)
    return path.as_uri()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark"), (320, "light")])
def test_the_page_fits_and_says_its_verdict(
    page: Page, address: str, width: int, scheme: str
) -> None:
    page.complaints.clear()
    page.prefer(scheme)
    page.open(address, width=width, height=900)
    root = "document.documentElement"
    assert page.value(f"{root}.scrollWidth <= {root}.clientWidth")
    assert page.value("[...document.images].every(i => i.complete && i.naturalWidth === 16)")
    assert page.value("document.images.length") == 17
    box = "document.querySelector('.verdict').getBoundingClientRect()"
    assert page.value(f"{box}.height") > 40 and page.value(f"{box}.bottom") < 900
    assert "Ready with warnings" in page.value("document.querySelector('.verdict').innerText")
    # Two laboratory values, each with a band and bars that are drawn and not only written.
    drawn = "[...document.querySelectorAll('.strip .bars')].map(b => b.getBBox().width)"
    assert len(page.value(drawn)) == 2 and min(page.value(drawn)) > 8
    assert page.complaints == []


def test_night_is_dark_and_paper_is_white(page: Page, address: str) -> None:
    page.open(address)
    background = "getComputedStyle(document.documentElement).backgroundColor"
    page.prefer("dark")
    assert page.value(background) == "rgb(17, 23, 29)"
    page.prefer("light")
    assert page.value(background) == "rgb(238, 242, 245)"
    page.ask("Emulation.setEmulatedMedia", media="print")
    assert page.value(background) == "rgb(255, 255, 255)"
