"""Scenario files: what is varied is mostly the study, and a mistake is one sentence."""

from pathlib import Path

import pytest

from irene_model.errors import ConfigError
from simulations.hospitals.scenario import Scenario
from tests.helpers.small_scenario import small_scenario, write_scenario

SCENARIOS = sorted((Path(__file__).parents[3] / "simulations" / "scenarios").glob("*.yaml"))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_the_scenarios_that_come_along_can_be_read(path: Path) -> None:
    assert Scenario.read(path).cohort.sites


def test_an_override_addresses_the_study_unless_it_names_another_part(tmp_path: Path) -> None:
    plain = small_scenario(tmp_path)
    changed = small_scenario(
        tmp_path,
        "privacy.epsilon=4",
        "study.federation.rounds=7",
        "cohort.split=iid",
        "parallel_sites=1",
        "labels=[pneumonia]",
    )
    assert (plain.study.privacy.epsilon, changed.study.privacy.epsilon) == (8, 4)
    assert (plain.study.federation.rounds, changed.study.federation.rounds) == (3, 7)
    assert (plain.cohort.split, changed.cohort.split) == ("natural", "iid")
    assert (plain.parallel_sites, changed.parallel_sites) == (2, 1)
    assert changed.study.labels == ("pneumonia",)
    assert changed.study.image == plain.study.image


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("privacy.epsilonn=4", r"study\.privacy\.epsilonn: unknown key; did you mean 'epsilon'"),
        ("cohort.alhpa=1", r"cohort\.alhpa: unknown key; did you mean 'alpha'"),
        ("nonsense=1", r"study\.nonsense: unknown key"),
        ("cohort.split=by_hand", r"cohort\.split: "),
        ("cohort.patients=7", r"cohort\.patients: "),
        ("cohort.sites=[{name: a}, {name: a}]", "cohort: two sites have the same name"),
        ("cohort.sites=[{name: a/b}]", r"cohort\.sites\.0\.name: "),
        ("cohort.sites=[{name: a, lacks: [smell]}]", "lacks: 'smell' is none of image, text"),
        ("folder=/elsewhere", "folder: unknown key"),
        ("privacy.epsilon", "--set privacy.epsilon: expected key=value"),
        ("=4", "expected key=value"),
    ],
)
def test_a_mistake_names_file_and_key(tmp_path: Path, override: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        small_scenario(tmp_path, override)
    assert "\n" not in str(caught.value)


def test_more_sites_than_patients_are_refused(tmp_path: Path) -> None:
    sites = ", ".join(f"{{name: s{n}}}" for n in range(9))
    with pytest.raises(ConfigError, match="8 patients can't be split over 9 sites"):
        small_scenario(tmp_path, "cohort.patients=8", f"cohort.sites=[{sites}]")


def test_joined_sites_lie_beside_the_scenario(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scenario(tmp_path)
    monkeypatch.chdir(tmp_path)
    scenario = Scenario.read(Path("scenario.yaml"), ["join=[hannover/site.yaml]"])
    assert scenario.folder / scenario.join[0] == tmp_path.resolve() / "hannover" / "site.yaml"
