"""FHIR to what is known; what is refused or passed over is told by place, never by value."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from client.sources.fhir import read_fhir
from client.sources.history import History, LabSpool
from irene_model.errors import DataError
from tests.helpers.sites.exported_hospital import LOINC, write_lines

SECRET = "Zebedee"
PATIENT = {"resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": "1950"}
ABOUT = {"subject": {"reference": "Patient/p1"}}


def read(source: Path) -> tuple[History, list[dict[str, Any]]]:
    spool = LabSpool(source.parent / "spool")
    history = read_fhir(source, spool, lambda done, total: None)
    return history, [row for chunk in spool.chunks() for row in chunk.to_pylist()]


def lines(tmp_path: Path, *resources: Any) -> Path:
    folder = tmp_path / "export"
    folder.mkdir(exist_ok=True)
    write_lines(folder / "all.ndjson", resources)
    return folder


def observed(**changes: Any) -> dict[str, Any]:
    code = {"coding": [{"system": LOINC, "code": "1988-5"}]}
    return {"resourceType": "Observation", **ABOUT, "code": code, **changes}


def bundle(*resources: Any, **changes: Any) -> dict[str, Any]:
    entries = [{"resource": each} for each in resources]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries, **changes}


@pytest.mark.parametrize(
    ("value", "row"),
    [
        ({"valueQuantity": {"value": 5, "unit": "mg/L"}}, ("5.0", "", "mg/L")),
        ({"valueQuantity": {"value": 5, "comparator": "<", "unit": "x"}}, ("5.0", "<", "x")),
        ({"valueQuantity": {"value": 5}}, ("5.0", "", "")),
        ({"valueString": "> 500"}, ("500", ">", "")),
        ({"valueInteger": 3}, ("3", "", "")),
        ({"valueCodeableConcept": {"coding": [{"code": "LA6577-6"}]}}, ("negative", "", "")),
        ({"valueCodeableConcept": {"text": SECRET}}, None),
        ({"valueQuantity": {"value": 5, "comparator": "ad"}}, None),
        ({"valueString": SECRET}, None),
        ({"dataAbsentReason": {"text": "haemolysed"}}, None),
        ({"valueQuantity": {"value": 5}, "status": "entered-in-error"}, None),
        ({"valueQuantity": {"value": 5}, "subject": {"reference": "Group/1"}}, None),
        ({"valueQuantity": {"value": 5}, "subject": {"reference": "../../etc/passwd"}}, None),
    ],
)
def test_a_value_is_a_number_a_limit_or_one_of_two_words(
    value: dict[str, Any], row: tuple[str, ...] | None, tmp_path: Path
) -> None:
    history, rows = read(lines(tmp_path, PATIENT, observed(**value)))
    assert [(r["value"], r["comparator"], r["unit"]) for r in rows] == (
        [] if row is None else [row]
    )
    passed = [kind for kind, _ in history.tally.passed]
    assert passed == ([] if row else ["Observation"])


def test_components_are_values_and_codes_of_loinc_come_first(tmp_path: Path) -> None:
    local = [{"system": "urn:lab", "code": "CRP-QN"}, {"system": LOINC, "code": "1988-5"}]
    parts = [
        {"code": {"coding": local}, "valueQuantity": {"value": 1, "unit": "mg/L"}},
        {"code": {"coding": local[:1]}, "valueQuantity": {"value": 2, "unit": "mg/L"}},
    ]
    history, rows = read(lines(tmp_path, PATIENT, observed(component=parts)))
    assert [(row["code"], row["value"]) for row in rows] == [("1988-5", "1.0"), ("CRP-QN", "2.0")]
    assert history.tests == {("1988-5", "mg/L"): 1, ("CRP-QN", "mg/L"): 1}


@pytest.mark.parametrize(
    ("written", "text", "seconds"),
    [
        ("2024-05-01T10:00:00+02:00", "2024-05-01T08:00:00Z", True),
        ("2024-05-01T10:00:00.123Z", "2024-05-01T10:00:00Z", True),
        ("2024-05-01", "2024-05-01", True),
        ("2024-05", "", False),
        ("2024", "", False),
        ("2024-02-31", "", False),
        (SECRET, "", False),
    ],
)
def test_a_time_is_in_utc_and_one_without_a_day_is_none(
    written: str, text: str, seconds: bool, tmp_path: Path
) -> None:
    given = observed(effectiveDateTime=written, valueInteger=1)
    history, (row,) = read(lines(tmp_path, PATIENT, given))
    assert row["at"] == text
    assert (row["seconds"] == row["seconds"]) is seconds
    assert [kind for kind, _ in history.tally.passed] == ([] if seconds else ["dates"])


def refused(source: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(source)
    assert SECRET not in str(caught.value)
    return str(caught.value)


def test_a_broken_line_is_named_by_file_and_line(tmp_path: Path) -> None:
    folder = lines(tmp_path, PATIENT)
    with (folder / "all.ndjson").open("a") as file:
        file.write(f'\n{{"resourceType": "Patient", "id": "{SECRET}\n')
    assert refused(folder) == "all.ndjson line 3: is broken JSON; export it again"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"resourceType": "Patient"}\n{"resourceType": "Patient"}', "name it .ndjson"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"a": NaN}', "a number that is none"),
        (b'{"a": ' + b"9" * 5000 + b"}", "a number that is none"),
        (b"[]", "no FHIR resource"),
        (b'{"resourceType": "' + SECRET.encode() * 20 + b'"}', "resourceType"),
        (b"\xff\xfe", "no UTF-8"),
        (b'{"resourceType": "Bundle", "type": "history"}', "a bundle of another type"),
        (b'{"resourceType": "Bundle", "type": "batch", "entry": {}}', "expected a list"),
    ],
)
def test_a_file_of_a_patient_is_named_by_its_number(
    content: bytes, said: str, tmp_path: Path
) -> None:
    folder = lines(tmp_path, PATIENT)
    (folder / f"{SECRET}_1.json").write_bytes(content)
    told = refused(folder)
    assert told.startswith("JSON file 1, by name,")
    assert said in told


@pytest.mark.parametrize(
    ("resource", "said"),
    [
        ({**PATIENT, "birthDate": {"a": SECRET}}, "Patient.birthDate: string type"),
        ({**PATIENT, "id": "x" * 1000}, "Patient.id: string too long"),
        (observed(valueQuantity={"value": SECRET}), "valueQuantity.value: float parsing"),
        (observed(component=[{}] * 2000), "component: too long"),
        (observed(valueQuantity={"value": 1e308 * 10}), "a number that is none"),
    ],
)
def test_a_field_beyond_r4_is_named(resource: Any, said: str, tmp_path: Path) -> None:
    assert said in refused(lines(tmp_path, resource))


@pytest.mark.parametrize(
    ("resource", "said"),
    [
        ({"resourceType": "Condition", **ABOUT, "clinicalStatus": "active"}, "DSTU2 or STU3"),
        ({"resourceType": "Encounter", **ABOUT, "class": [{}]}, "R5"),
        ({"resourceType": "Encounter", **ABOUT, "actualPeriod": {}}, "R5"),
        (observed(context={"reference": "Encounter/1"}), "STU3"),
        ({"resourceType": "CapabilityStatement", "fhirVersion": "5.0.0"}, "not 4.0"),
    ],
)
def test_another_release_is_refused(resource: Any, said: str, tmp_path: Path) -> None:
    folder = lines(tmp_path, PATIENT)
    (folder / "b.json").write_text(json.dumps(bundle(resource)))
    told = refused(folder)
    assert "entry 1: is no FHIR R4" in told
    assert said in told


def test_what_is_there_twice_counts_once_and_two_contents_of_an_id_are_refused(
    tmp_path: Path,
) -> None:
    again = {**PATIENT, "meta": {"versionId": "2"}}
    one = observed(id="o", valueInteger=1)
    history, rows = read(lines(tmp_path, PATIENT, again, one, one))
    assert len(rows) == 1
    assert history.tally.passed["Patient", "there twice"] == 1
    other = {**PATIENT, "gender": "male"}
    assert "all.ndjson line 2: a Patient has the id" in refused(lines(tmp_path, PATIENT, other))


def test_bundles_and_containers_in_bundles_are_no_cycles(tmp_path: Path) -> None:
    folder = lines(tmp_path, PATIENT)
    inner = bundle(bundle(PATIENT))
    part = {"resourceType": "Encounter", "id": "e", **ABOUT, "partOf": {"reference": "Encounter/e"}}
    (folder / "b.json").write_text(json.dumps(bundle(inner, part)))
    history, _ = read(folder)
    assert history.tally.passed["entries", "a bundle in a bundle"] == 1
    assert list(history.visits) == ["e"]


def test_links_and_other_files_are_passed_over(tmp_path: Path) -> None:
    folder = lines(tmp_path, PATIENT)
    outside = tmp_path / "outside.ndjson"
    write_lines(outside, [{**PATIENT, "id": "p2"}])
    (folder / "link.ndjson").symlink_to(outside)
    (folder / "up").symlink_to(tmp_path, target_is_directory=True)
    (folder / "notes.txt").write_text("x")
    history, _ = read(folder)
    assert list(history.persons) == ["p1"]
    assert sum(history.tally.passed.values()) == 3


def test_a_report_is_its_conclusion_and_its_plain_text(tmp_path: Path) -> None:
    def form(**changes: Any) -> dict[str, Any]:
        return {"contentType": "text/plain", **changes}

    text = base64.b64encode("Ödem".encode("cp1252")).decode()
    forms = [
        form(contentType="text/plain; charset=ISO-8859-1", data=text),
        form(data="%%%="),
        form(url="https://elsewhere.example/report"),
        form(contentType="application/pdf", data="AAAA"),
        form(data=base64.b64encode(b"x" * 200_000).decode()),
    ]
    report = {
        "resourceType": "DiagnosticReport",
        **ABOUT,
        "conclusion": "No.",
        "presentedForm": forms,
    }
    history, _ = read(lines(tmp_path, PATIENT, report))
    assert [note.text for note in history.notes] == ["No.\nÖdem"]
    assert {why for _, why in history.tally.passed} == {
        "named by a url, which is not followed",
        "no plain text",
        "longer than 100000 characters",
    }


def test_how_sure_a_condition_is(tmp_path: Path) -> None:
    def condition(status: str, code: str) -> dict[str, Any]:
        coding = [
            {"system": "http://hl7.org/fhir/sid/icd-10", "code": code},
            {"system": "http://snomed.info/sct", "code": "233604007"},
        ]
        told = {"coding": [{"code": status}]}
        return {
            "resourceType": "Condition", **ABOUT, "code": {"coding": coding},
            "verificationStatus": told,
        }  # fmt: skip

    given = [("confirmed", "j18.9"), ("provisional", "J20"), ("refuted", "J44")]
    history, _ = read(
        lines(
            tmp_path, PATIENT, *(condition(*each) for each in [*given, ("entered-in-error", "A15")])
        )
    )
    found = [(finding.icd10, finding.code, finding.sure) for finding in history.findings]
    assert found == [
        ("J18.9", "233604007", "sure"),
        ("J20", "233604007", "suspected"),
        ("J44", "233604007", "excluded"),
    ]
