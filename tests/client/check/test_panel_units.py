"""Doubts about the units of further panels: the unit that fits, one sentence for all like it."""

import numpy as np

from client.check.panel_quality import doubt_panel
from client.site.site import Site
from irene_model.study.records import Record
from irene_model.study.shapes import Panel
from tests.helpers.hospital_folder import SITE

GASES = Panel.model_validate(
    {
        "name": "gases",
        "values": [
            {"name": "pCO2", "unit": "mmHg", "low": 35, "high": 45},
            {"name": "pO2", "unit": "mmHg", "low": 75, "high": 100},
            {"name": "glucose", "unit": "mg/dL", "low": 70, "high": 110, "molar_mass": 180.156},
            {"name": "excess", "unit": "mmol/L", "low": -2, "high": 2},
            {"name": "lactate", "unit": "mmol/L", "low": 0.5, "high": 2.2},
        ],
    }
)
SCALES = {"pCO2": 40, "pO2": 80, "glucose": 100, "excess": 1, "lactate": 1.2}


def doubts(factors: dict[str, float], **mapped: object) -> list[str]:
    """The doubts about a site whose values are so many times what they should be."""
    site = Site.model_validate({**SITE, "panels": {"gases": mapped}})
    rng = np.random.default_rng(0)
    scale = np.array([SCALES[name] * factors.get(name, 1) for name in GASES.names])
    rows = scale * np.exp(rng.normal(0, 0.1, (60, len(scale))))
    rows[::3, 4] = np.inf  # some are beyond detection
    records = [
        Record(
            record_id=str(n),
            patient_id=str(n),
            split="train",
            labs={},
            labels={},
            panels={"gases": row},
        )
        for n, row in enumerate(rows)
    ]
    return [doubt.sentence for doubt in doubt_panel(GASES, site, records)]


def test_an_honest_panel_is_not_doubted() -> None:
    assert doubts({}) == []
    assert doubts({"excess": 1000}) == []  # it may be negative, and has no scale


def test_the_unit_that_fits_is_named_once_for_all_of_its_values() -> None:
    found = doubts({"pCO2": 1 / 7.5, "pO2": 1 / 7.5, "glucose": 1 / 18})
    assert found == [
        "gases: pCO2, pO2: half of the values lie far below the reference interval: they look like "
        "kPa rather than mmHg",
        "gases: glucose: half of the values lie far below the reference interval: they look like "
        "mmol/L rather than mg/dL",
    ]


def test_the_units_of_the_site_are_what_is_doubted() -> None:
    columns = {"pCO2": {"column": "c", "unit": "kPa"}}
    (found,) = doubts({"pCO2": 7.5}, columns=columns, lacks=["lactate", "pO2"])
    assert found.endswith("they look like mmHg rather than kPa")


def test_no_values_are_told() -> None:
    assert doubts({"pCO2": float("nan")}) == ["gases: pCO2: mapped, but no record has a value"]
