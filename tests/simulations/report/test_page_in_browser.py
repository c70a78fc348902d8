"""The page of a comparison in a real browser: on a phone, on a screen, on paper."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from irene_model.metrics.patient_draws import Scored
from simulations.compare.comparison import summarise
from simulations.evidence.evidence import evidence_of
from simulations.evidence.scored_cohort import ScoredCohort
from simulations.report.comparison_page import write_page
from tests.helpers.chromium import PROGRAM, Page, chromium
from tests.simulations.compare.test_comparison import result

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed")
SITES = [f"hospital-{number:02d}-of-a-long-name" for number in range(20)]
PAPER = 1032  # pixels of a landscape A4 page between its margins
ROOT = "document.documentElement"


def evidence(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    sites = {
        name: Scored(
            probabilities=rng.random((12, 1)),
            labels=(rng.random((12, 1)) < 0.5).astype(float),
            annotated=np.ones((12, 1), bool),
            owner=np.arange(12),
            counts=rng.poisson(1.0, (400, 12)),
        )
        for name in SITES
    }
    years = {name: rng.uniform(20, 90, 12) for name in SITES}
    sexes = {name: rng.integers(0, 2, 12).astype(float) for name in SITES}
    return evidence_of(ScoredCohort.of(sites, years, sexes), [0.9, 0.95])


def trained(row: str, auroc: float, arm: str, site: str | None, **facts: Any) -> dict[str, Any]:
    about = {"arm": arm, "site": site, "patients": {name: {"train": 9} for name in SITES}}
    made = result(row, 0, auroc, **about, evidence=EVIDENCE, **facts)
    made["auroc"] = made["auroc"] | {"by_site": dict.fromkeys(SITES, auroc)}
    made["draws"] = {"all": [auroc] * 400, "by_site": {name: [auroc] * 400 for name in SITES}}
    return made


EVIDENCE = evidence(0)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Twenty hospitals, several ways and models: as much as a page has to hold."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for site in SITES:
        rows[f"local-{site}/irene"] = [trained(f"local-{site}/irene", 0.6, "local", site)]
    for arm, model in (("central", "irene"), ("federated", "irene"), ("federated", "late_mean")):
        rows[f"{arm}/{model}"] = [trained(f"{arm}/{model}", 0.8, arm, None)]
    for e in (1.0, 2.0, 8.0):
        way = f"federated-dp-epsilon{e:g}/irene"
        rows[way] = [trained(way, 0.7, "federated-dp", None, epsilon=e)]
    results = summarise(rows, labels=["gout"], sites=SITES)
    results |= {"study": "as-wide-as-a-study-may-be-called", "trials": 26, "finished": 26}
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(results, path)
    return path.as_uri()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


# All that sticks out of the page to the right, whether or not something hides or scrolls it.
STICKS_OUT = """[...document.querySelectorAll('section *')].filter(e =>
  e.getClientRects().length && e.getBoundingClientRect().right > innerWidth + 1
).map(e => e.outerHTML.slice(0, 90)).slice(0, 5)"""


@pytest.mark.parametrize(
    ("width", "medium", "scheme"),
    [(1100, "", "light"), (390, "", "light"), (390, "", "dark"), (PAPER, "print", "dark")],
)
def test_nothing_sticks_out(page: Page, address: str, width: int, medium: str, scheme: str) -> None:
    page.complaints.clear()
    feature = {"name": "prefers-color-scheme", "value": scheme}
    page.ask("Emulation.setEmulatedMedia", media=medium, features=[feature])
    page.open(address, width=width, height=900)
    assert page.value(f"{ROOT}.scrollWidth <= {ROOT}.clientWidth")
    assert page.value(STICKS_OUT) == []
    assert page.value("document.querySelectorAll('.forest .line').length") > 60
    assert page.value("document.querySelectorAll('figure svg .curve').length") >= 6
    ink = page.value("getComputedStyle(document.querySelector('section')).backgroundColor")
    dark = scheme == "dark" and medium != "print"
    assert ink == ("rgb(25, 33, 42)" if dark else "rgb(255, 255, 255)")
    assert page.complaints == []


def test_letters_of_figures_can_be_read_on_a_phone(page: Page, address: str) -> None:
    page.ask("Emulation.setEmulatedMedia", media="")
    page.open(address, width=390, height=900)
    heights = page.value(
        "[...document.querySelectorAll('figure text, .forest text')]"
        ".map(t => t.getBoundingClientRect().height).filter(h => h)"
    )
    assert len(heights) > 20 and min(heights) > 9
