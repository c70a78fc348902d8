"""A composed split in a scenario: what each part does to the sites, and what is refused."""

import hashlib
from collections import Counter
from pathlib import Path

import pytest

from irene_model.errors import ConfigError
from simulations.hospitals.cohort import Hospital, draw_cohort
from simulations.hospitals.counting import draw_census
from tests.helpers.small_scenario import small_scenario

EVERYTHING = (
    "cohort.split={characters: natural, quantity: {power: 1, least: 5}, label: {alpha: 0.3},"
    " label_sets: {unrecorded: 0.5, unseen: 0.25}, modality: {absent: {text: 0.25},"
    " missing: {image: [0.1, 0.5], labs: [0.2, 0.6]}}, shift: {scanner: 1, age: 6, season: 1},"
    " shared: {share: 0.1, sites: 3}}"
)


def cohort(folder: Path, *overrides: str, seed: int = 0) -> list[Hospital]:
    scenario = small_scenario(folder, *overrides)
    return list(draw_cohort(scenario.cohort, seed, scenario.study.labels))


def told(hospitals: list[Hospital]) -> str:
    """All that was drawn, in a few digits."""
    return hashlib.sha256(repr(hospitals).encode()).hexdigest()[:12]


@pytest.mark.parametrize(
    ("split", "digits"),
    [
        ("natural", "72055a1d32c4"),
        ("iid", "30a57c32697e"),
        ("label_skew", "0ef2bb875cea"),
        ("quantity_skew", "5622ede5c337"),
    ],
)
def test_the_named_splits_deal_whom_they_always_dealt(
    tmp_path: Path, split: str, digits: str
) -> None:
    hospitals = cohort(tmp_path, f"cohort.split={split}")
    ids = [[p.patient_id for p in each.patients] for each in hospitals]
    assert hashlib.sha256(repr(ids).encode()).hexdigest()[:12] == digits


def test_a_comparison_of_a_named_split_keeps_its_document(tmp_path: Path) -> None:
    document = small_scenario(tmp_path).cohort.model_dump(mode="json")
    assert document["split"] == "natural" and "illness" not in document


def test_all_parts_at_once_lose_nobody_and_follow_from_the_seed(tmp_path: Path) -> None:
    hospitals = cohort(tmp_path, "cohort.patients=200", EVERYTHING)
    seen = Counter(p.patient_id for each in hospitals for p in each.patients)
    assert len(seen) == 200 and max(seen.values()) <= 3 and sum(n > 1 for n in seen.values()) >= 10
    assert min(len(each.patients) for each in hospitals) >= 5
    assert told(hospitals) == told(cohort(tmp_path, "cohort.patients=200", EVERYTHING))
    assert told(hospitals) != told(cohort(tmp_path, "cohort.patients=200", EVERYTHING, seed=1))


def test_one_part_more_changes_nothing_that_another_drew(tmp_path: Path) -> None:
    plain = cohort(tmp_path, "cohort.split={quantity: {alpha: 0.5}}")
    more = cohort(
        tmp_path, "cohort.split={quantity: {alpha: 0.5}, label: {alpha: 0.2}, shift: {age: 9}}"
    )
    assert [len(each.patients) for each in plain] == [len(each.patients) for each in more]
    iid = cohort(tmp_path, "cohort.split=iid")
    everyone = [{p.patient_id for h in each for p in h.patients} for each in (plain, more, iid)]
    assert everyone[0] == everyone[1] == everyone[2]


def test_a_person_at_two_hospitals_has_one_id_and_visits_of_their_own(tmp_path: Path) -> None:
    hospitals = cohort(tmp_path, "cohort.split={shared: {share: 0.2}}")
    seen = Counter(p.patient_id for each in hospitals for p in each.patients)
    assert sum(count == 2 for count in seen.values()) == 16
    visits = [e.encounter_id for each in hospitals for p in each.patients for e in p.encounters]
    assert len(set(visits)) == len(visits)


def test_the_census_tells_what_the_parts_did(tmp_path: Path) -> None:
    census = draw_census(small_scenario(tmp_path, "cohort.patients=400", EVERYTHING), 0)
    sizes = [each.patients - each.shared for each in census]
    assert sizes[0] > 2 * sizes[-1]
    for label in ("pneumonia", "pleural_effusion"):
        assert sum(each.prevalence[label] is None for each in census) == 2
    assert sorted(each.presence["text"] == 0 for each in census) == [False, False, False, True]
    assert all(0.3 < each.presence["image"] < 0.97 for each in census)
    assert len({each.scanner["contrast"] for each in census}) == 4


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ("label: {alpha: 0}", r"cohort\.split: .*label\.alpha: .*greater than or equal to 0\.01"),
        ("label: {alpha: .nan}", r"cohort\.split: .*label\.alpha"),
        ("label: {alfa: 1}", "unknown key; did you mean 'alpha'"),
        ("quantity: {}", "give alpha .* or power"),
        ("quantity: {alpha: 1, power: 1}", "one of them alone"),
        ("quantity: {power: 1, least: 50}", "80 patients can't give 4 sites 50 each"),
        ("modality: {absent: {smell: 0.5}}", "'smell' is none of image, text"),
        ("modality: {absent: {text: 1.0}}", "modality.absent.text: .*less than 1"),
        ("modality: {missing: {text: [0.5, 0.1]}}", "the least chance comes first"),
        ("modality: {missing: {age: [0, 0.1]}}", "modality.missing.age"),
        ("shared: {share: 0.5, sites: 5}", "5 are more than the 4 sites"),
        ("shared: {share: 0}", "shared.share"),
    ],
)
def test_what_can_not_be_is_one_sentence(tmp_path: Path, parts: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        cohort(tmp_path, f"cohort.split={{{parts}}}")
    assert "\n" not in str(caught.value)


def test_a_named_splits_alpha_is_none_of_the_parts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a composed split has its own"):
        cohort(tmp_path, "cohort.split={label: {alpha: 1}}", "cohort.alpha=0.1")


def test_a_site_without_any_modality_is_refused(tmp_path: Path) -> None:
    absent = "{image: 0.9, labs: 0.9, demographics: 0.9}"
    with pytest.raises(ConfigError, match="would have no modality at all"):
        cohort(tmp_path, f"cohort.split={{modality: {{absent: {absent}}}}}", "cohort.lacks=[text]")


def test_a_label_that_nobody_has_in_test_is_refused(tmp_path: Path) -> None:
    scenario = small_scenario(
        tmp_path,
        "cohort.patients=12",
        "labels=[tuberculosis]",
        "cohort.split={quantity: {alpha: 1}}",
    )
    with pytest.raises(ConfigError, match="no site would have a test patient with"):
        draw_census(scenario, 0)
