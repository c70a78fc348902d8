"""A number of sites stands for so many equal ones."""

from pathlib import Path

import pytest

from irene_model.errors import ConfigError
from simulations.hospitals.scenario import Scenario

SCALE = Path(__file__).parents[3] / "simulations" / "scenarios" / "scale.yaml"


def test_a_thousand_sites_need_no_list() -> None:
    cohort = Scenario.read(SCALE).cohort
    assert cohort is not None
    assert len({site.name for site in cohort.sites}) == 1000
    assert cohort.sites[0].name == "site-0001"
    assert {site.share for site in cohort.sites} == {1.0}


@pytest.mark.parametrize("number", ["0", "-3", "10000", "true", "2.5"])
def test_other_numbers_are_refused(number: str) -> None:
    with pytest.raises(ConfigError, match=r"cohort\.sites"):
        Scenario.read(SCALE, [f"cohort.sites={number}"])
