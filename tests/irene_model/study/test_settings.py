from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from irene_model.errors import ConfigError
from irene_model.study.settings import dump, override
from irene_model.study.study import Study

STUDY = {
    "name": "chest",
    "labels": ["pneumonia", "effusion"],
    "image": {"size": 32, "patch": 8},
    "text": {"max_tokens": 12, "width": 16},
    "labs": [{"name": "CRP", "loinc": "1988-5", "unit": "mg/L", "low": 0, "high": 5}],
    "federation": {"rounds": 3, "local_steps": 2},
    "privacy": {"epsilon": 8},
}


def write(path: Path, document: object) -> Path:
    path.write_text(yaml.safe_dump(document))
    return path


def test_a_study_survives_its_own_dump(tmp_path: Path) -> None:
    study = Study.read(write(tmp_path / "study.yaml", STUDY))
    again = tmp_path / "again.yaml"
    again.write_text(dump(study))
    assert Study.read(again) == study
    assert Study.from_canonical(study.canonical).fingerprint == study.fingerprint


def test_the_fingerprint_changes_with_any_setting(tmp_path: Path) -> None:
    path = write(tmp_path / "study.yaml", STUDY)
    prints = {
        Study.read(path, changes).fingerprint
        for changes in (
            [],
            ["privacy.epsilon=4"],
            ["labels=[effusion, pneumonia]"],
            ["name=b"],
        )
    }
    assert len(prints) == 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"privacy": {"epsilon": 8, "clip_nrom": 1}},
            "privacy.clip_nrom: unknown key; did you mean 'clip_norm'?",
        ),
        ({"image": {"size": 30, "patch": 8}}, "multiple of patch"),
        ({"labels": ["a", "a"]}, "label named twice: a"),
        ({"privacy": {}}, "give epsilon"),
        ({"name": None}, "name"),
        ({"privacy": {"epsilon": float("inf")}}, "privacy.epsilon"),
    ],
)
def test_a_mistake_is_one_sentence_naming_file_and_key(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    path = write(tmp_path / "study.yaml", {**STUDY, **change})
    with pytest.raises(ConfigError) as caught:
        Study.read(path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"a: [1", b"- 1", b"\xff\xfe\x00", b""])
def test_what_is_no_mapping_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"study\.yaml"):
        Study.read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        Study.read(tmp_path / "nowhere.yaml")


@given(st.dictionaries(st.sampled_from("abc"), st.integers(), min_size=1), st.integers())
def test_an_override_changes_its_key_alone(document: dict[str, int], value: int) -> None:
    nested = {"top": dict(document), "other": 1}
    changed = override(nested, [f"top.a={value}"])
    assert changed["top"] == {**document, "a": value}
    assert changed["other"] == 1
    assert nested["top"] == document


@pytest.mark.parametrize("assignment", ["novalue", "=3", "name.x=1", "name=[1"])
def test_a_malformed_override_is_refused(assignment: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        override({"name": "x"}, [assignment])
