"""What a hospital chooses, and the draft that tells what is left to choose."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from client.cli import app
from client.imports.choices import Choices, read_labels
from client.site.site import Site
from irene_model.errors import ConfigError, UserError
from irene_model.study.study import Study
from tests.helpers.hospital_folder import STUDY
from tests.helpers.sites.exported_hospital import LOINC, write_lines

ABOUT = {"subject": {"reference": "Patient/p1"}}
EXPORT: list[dict[str, Any]] = [
    {"resourceType": "Patient", "id": "p1", "gender": "Zebedee", "birthDate": "1950"},
    {"resourceType": "Patient", "id": "p2", "link": [{"other": {"reference": "Patient/p1"}}]},
    {"resourceType": "ImagingStudy", "id": "s1", **ABOUT, "started": "2024-01-02T10:00:00Z",
     "series": [{"bodySite": {"display": "Chest\n# text: evil"}}]},
    {"resourceType": "ImagingStudy", "id": "s2", "subject": {"reference": "Patient/p2"},
     "started": "2024-01-03"},
    {"resourceType": "Condition", **ABOUT, "onsetDateTime": "2024-01-01", "code": {"coding": [
        {"system": "http://hl7.org/fhir/sid/icd-10", "code": "J18.9", "display": "x\nbudget: none"},
        {"system": "http://snomed.info/sct", "code": "233604007"}]},
     "verificationStatus": {"coding": [{"code": "provisional"}]}},
    {"resourceType": "DiagnosticReport", **ABOUT, "issued": "2024-01-02",
     "conclusion": 'a "b",\r\n\0c', "code": {"coding": [{"system": "x", "code": "our own kind!"}]}},
    *({"resourceType": "Observation", **ABOUT, "effectiveDateTime": f"2024-01-02T0{n}:00:00Z",
       "code": {"coding": [{"system": LOINC, "code": code}]}, **value}
      for n, (code, value) in enumerate([
          ("1988-5", {"valueQuantity": {"value": 5, "comparator": "<", "unit": "mg/L"}}),
          ("1988-5", {"valueQuantity": {"value": 6}}),
          ("731-0", {"valueCodeableConcept": {"coding": [{"code": "260385009"}]}}),
          ("9999-9", {"valueInteger": 1}),
      ])),
]  # fmt: skip


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(STUDY))
    return path


def run(*arguments: object) -> None:
    done = CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False,
                              standalone_mode=False)  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "Zebedee" not in done.output


def test_labels_are_codes_of_one_kind_by_option_and_file(study_file: Path, tmp_path: Path) -> None:
    study, file = Study.read(study_file), tmp_path / "labels.yaml"
    file.write_text("death: [419099009, 419099009]\npneumonia: J15\n")
    assert read_labels(["pneumonia= J18 ,j12-j14"], file, study) == {
        "pneumonia": ("J18", "j12-j14", "J15"),
        "death": ("419099009",),
    }
    for given, said in (
        ("pneumonia", "expected NAME=CODES"),
        ("asthma=J45", "the study has no such label"),
        ("pneumonia=", "names no code"),
        ("pneumonia=J18,233604007", "ICD-10 codes or numbers, not both"),
        ("pneumonia=pneumonia", "is no ICD-10 code"),
    ):
        with pytest.raises(ConfigError, match=said):
            read_labels([given], None, study)


def test_a_draft_tells_what_it_could_not_decide(study_file: Path, tmp_path: Path) -> None:
    write_lines(tmp_path / "all.ndjson", EXPORT)
    out = tmp_path / "my site"
    study = ("--study", study_file)
    run("import", "fhir", tmp_path / "all.ndjson", out, *study, "--label", "pneumonia=233604007")
    text = (out / "site.yaml").read_text()
    for line in (
        "site: my-site",
        "# body_part: Chest # text: evil 1",
        "  # text: note_other # 2 records: other",
        "# CRP (1988-5): mg/L 1, none 1",
        "#   9999-9: 1",
        "#  death: {column: icd10, icd10: […]}",
        "#   J18.9 x budget: none: 2",
    ):
        assert line in text
    site = Site.read(out / "site.yaml")
    assert site.labels["pneumonia"].uncertain == ("suspected 233604007",)
    assert site.budget != "none"
    rows = (out / "records.csv").read_text()
    assert rows.count('"a ""b"",\n c"') == 2
    # Two ids of one person are one patient.
    assert [line.split(",")[1] for line in rows.splitlines() if line[:2] in ("s1", "s2")] == [
        "p1"
    ] * 2
    assert "J18.9 V,suspected 233604007" in rows
    import pyarrow.parquet as pq

    labs = pq.read_table(out / "labs.parquet").to_pylist()
    found = {(row["code"], row["value"], row["comparator"], row["unit"]) for row in labs}
    # The value without a unit is left out; of the word the unit is no matter.
    assert found == {
        ("1988-5", "5.0", "<", "mg/L"),
        ("731-0", "negative", "", "10^9/L"),
        ("9999-9", "1", "", ""),
    }


def test_the_kind_of_the_complaint_can_be_chosen(study_file: Path, tmp_path: Path) -> None:
    write_lines(tmp_path / "all.ndjson", EXPORT)
    given = ("import", "fhir", tmp_path / "all.ndjson", tmp_path / "out", "--study", study_file)
    run(*given, "--complaint", "other")
    assert "  text: complaint\n" in (tmp_path / "out" / "site.yaml").read_text()
    with pytest.raises(ConfigError, match="no text is of such a kind; there are: other"):
        run(*given[:3], tmp_path / "again", *given[4:], "--complaint", "10154-3")
    with pytest.raises(ConfigError, match="lies within what is read"):
        (tmp_path / "in").mkdir()
        run("import", "fhir", tmp_path, tmp_path / "in" / "x", *given[4:])


def test_an_image_is_wanted_by_what_it_says_of_itself() -> None:
    choices = Choices(site="x", modalities=("dx",), body_parts=("CHEST",))
    wanted = [("DX", "Chest"), ("SR/DX", ""), ("", "")]
    assert [choices.wants(*each) for each in wanted] == ["", "", ""]
    assert choices.wants("CR", "") and choices.wants("DX", "Knee")


def test_broken_exports_end_in_one_error_or_in_counts(study_file: Path, tmp_path: Path) -> None:
    """Values of all kinds at all places: no other exception, and no word of a patient."""
    rng = random.Random(0)
    odd = [
        None,
        0,
        -1,
        1e308,
        True,
        "",
        "Zebedee",
        "x" * 5000,
        [],
        {},
        [None],
        {"reference": 1},
        [[]],
    ]
    (tmp_path / "in").mkdir()
    for number in range(60):
        export = json.loads(json.dumps(EXPORT))
        for _ in range(rng.choice((1, 1, 3))):
            spoil(rng.choice(export), rng, odd)
        write_lines(tmp_path / "in" / "all.ndjson", export)
        out = tmp_path / f"out{number}"
        try:
            run("import", "fhir", tmp_path / "in", out, "--study", study_file)
        except UserError as error:
            assert "Zebedee" not in str(error)
            assert not out.exists()


def spoil(document: Any, rng: random.Random, odd: list[Any]) -> None:
    keys = list(document) if isinstance(document, dict) else range(len(document))
    key = rng.choice(list(keys)) if len(keys) else None
    if key is not None and isinstance(document[key], dict | list) and rng.random() < 0.7:
        spoil(document[key], rng, odd)
    elif key is not None:
        document[key] = rng.choice(odd)
