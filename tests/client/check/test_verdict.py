"""The verdict: what stops a site, what it is only told, and what mends it."""

from dataclasses import replace
from typing import Any

import pytest

from client.check.doubts import doubts_of, listed, verdict_of
from client.check.quality import QualityReport, inspect, with_cost
from tests.helpers.hospital_folder import HospitalFolder


def judged(hospital: HospitalFolder) -> QualityReport:
    """As the command judges it, but for what ten patients can hope for: that has a test below."""
    report = with_cost(inspect(hospital.site, hospital.study), hospital.site, hospital.study)
    return replace(report, doubts=tuple(d for d in report.doubts if d.kind != "privacy"))


def test_what_noise_leaves_of_a_small_hospital_is_told(hospital: HospitalFolder) -> None:
    report = with_cost(inspect(hospital.site, hospital.study), hospital.site, hospital.study)
    (doubt,) = report.doubts
    assert doubt.kind == "privacy" and not doubt.grave and report.verdict == "ready with warnings"
    assert "a model that starts from nothing ends near chance" in doubt.sentence
    assert "epsilon" in doubt.mend


def test_files_without_a_doubt_are_ready_and_their_cost_is_told(hospital: HospitalFolder) -> None:
    report = judged(hospital)
    assert report.verdict == "ready" and report.doubts == ()
    assert report.cost is not None
    assert report.cost.declared_patients == 10 and report.cost.sample_rate == 0.4
    assert report.cost.rounds_left == report.cost.rounds == 2
    assert 0 < report.cost.epsilon <= 8 and report.cost.noise_multiplier > 0


def test_a_doubt_alone_stops_nobody(hospital: HospitalFolder) -> None:
    hospital.configure("minimum_group", 5)
    report = judged(hospital)
    assert report.verdict == "ready with warnings"
    assert report.warnings == tuple(
        f"{split}: fewer than 5 patients have, or have not, pneumonia, death: too few to judge a "
        "model here"
        for split in ("validation", "test")
    )
    assert all("splits" in doubt.mend for doubt in report.doubts)
    hospital.configure("metrics", "off")  # nobody judges
    assert judged(hospital).verdict == "ready"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("budget", {"epsilon": 0.01, "delta": 1e-3}, "has room for no round of this study"),
        ("limits", {"most_rounds": 1}, "the study asks for federation.rounds 2"),
    ],
)
def test_what_the_site_would_decline_is_not_ready(
    hospital: HospitalFolder, key: str, value: Any, said: str
) -> None:
    hospital.configure(key, value)
    report = judged(hospital)
    assert report.verdict == "not ready"
    (doubt,) = report.doubts
    assert doubt.grave and said in doubt.sentence and doubt.mend


def test_a_budget_for_some_rounds_is_a_doubt(hospital: HospitalFolder) -> None:
    hospital.configure("privacy.epsilon", None, "study.yaml")
    hospital.configure("privacy.noise_multiplier", 2.0, "study.yaml")
    hospital.configure("budget.epsilon", 2)
    hospital.configure("federation.rounds", 6, "study.yaml")
    report = judged(hospital)
    assert report.cost is not None and 0 < report.cost.rounds_left < 6
    (doubt,) = report.doubts
    assert f"room for {report.cost.rounds_left} of the study's 6 rounds" in doubt.sentence
    assert "--plan" in doubt.mend and not doubt.grave


def test_training_without_privacy_has_a_cost_that_json_can_hold(hospital: HospitalFolder) -> None:
    hospital.configure("budget", "none")
    hospital.configure("privacy.epsilon", None, "study.yaml")
    hospital.configure("privacy.noise_multiplier", 0, "study.yaml")
    document = judged(hospital).as_json()
    assert document["cost"]["epsilon"] is None and document["cost"]["budget"] is None


def test_a_film_of_two_patients_is_doubted_by_split(hospital: HospitalFolder) -> None:
    rows = hospital.rows()
    chosen = [next(r for r in rows if r["split"] == s and r["file"]) for s in ("train", "test")]
    content = (hospital.folder / "images" / chosen[0]["file"]).read_bytes()
    (hospital.folder / "images" / chosen[1]["file"]).write_bytes(content)
    (doubt,) = inspect(hospital.site, hospital.study).doubts
    assert doubt.kind == "leakage" and doubt.sentence.startswith("2 radiographs are nearly")
    assert "exclude" in doubt.mend


def test_a_text_that_names_label_and_person_is_doubted(hospital: HospitalFolder) -> None:
    rows = hospital.rows()
    for row in rows:
        if row["pneumonia"] == "1":
            row["complaint"] = "Mrs. Miller, pneumonia"
    hospital.write_rows(rows)
    kinds = [doubt.kind for doubt in inspect(hospital.site, hospital.study).doubts]
    assert kinds == ["leakage", "words", "length", "names"]  # six tokens, the name is spelled


def test_the_verdict_is_the_worst_of_all() -> None:
    assert verdict_of(()) == "ready"
    assert verdict_of(doubts_of("few", ["a"])) == "ready with warnings"
    assert doubts_of("few", ["a"], "b")[0].mend == "b"


def test_long_lists_are_short() -> None:
    assert listed(["a", "b", "c", "d"]) == "a, b, c, d"
    assert listed(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
