"""The quality report against counts made by hand from the same files."""

import json

import pytest
from PIL import Image

from client.check.quality import QualityReport, inspect
from tests.helpers.hospital_folder import HospitalFolder


def report_of(hospital: HospitalFolder) -> QualityReport:
    return inspect(hospital.site, hospital.study)


def test_counts_are_those_of_the_files(hospital: HospitalFolder) -> None:
    report, rows = report_of(hospital), hospital.rows()
    assert (report.records, report.patients, report.most_records_of_a_patient) == (20, 10, 2)
    for split in ("train", "validation", "test"):
        members = [row for row in rows if row["split"] == split]
        assert report.splits[split].records == len(members)
        assert report.splits[split].patients == len({row["patient_id"] for row in members})
    assert report.modalities == {
        "image": sum(row["file"] != "" for row in rows),
        "text": sum(row["complaint"] != "" for row in rows),
        "labs": 20,
        "age": 18,
        "sex": 20,
    }
    crp = report.labs["CRP"]
    assert crp.missing == sum(row["crp"] == "" for row in rows)
    assert crp.censored_low == sum(row["crp"] == "-inf" for row in rows)
    assert crp.censored_high == sum(row["crp"] == "inf" for row in rows)
    assert crp.measured + crp.missing == 20
    # The column is in mg/dL and the interval 0 to 5 mg/L; -inf is within it, inf is not.
    above = sum(float(row["crp"]) > 0.5 for row in rows if row["crp"])
    assert crp.outside_reference == pytest.approx(above / crp.measured)
    pneumonia = report.labels["pneumonia"]
    assert pneumonia.positives == sum(row["pneumonia"] == "1" for row in rows)
    assert pneumonia.not_annotated == sum(row["pneumonia"] == "" for row in rows)
    assert report.labels["death"].negatives == sum(row["death_offset"] == "" for row in rows)
    assert report.warnings == ()
    assert report.absent_modalities == ()


def test_the_report_is_json(hospital: HospitalFolder) -> None:
    report = report_of(hospital)
    document = json.loads(json.dumps(report.as_json()))
    assert document["labs"]["CRP"]["censored_low"] == report.labs["CRP"].censored_low
    assert document["splits"]["train"] == {"patients": 6, "records": 12}
    assert document["warnings"] == document["doubts"] == []
    assert document["verdict"] == "ready" and document["cost"] is None
    assert document["labels"]["death"]["splits"]["test"] == {
        "positives": 2, "negatives": 2, "patients_with": 1, "patients_without": 1,
    }  # fmt: skip
    assert sum(document["labs"]["lymphocytes"]["histogram"]) == 20


def test_what_a_hospital_lacks_is_counted_and_no_warning(hospital: HospitalFolder) -> None:
    hospital.configure("columns.text", None)
    hospital.configure("columns.age", None)
    hospital.configure("labs.lymphocytes", None)
    hospital.configure("labels.death", None)
    report = report_of(hospital)
    assert report.absent_modalities == ("text", "age")
    assert not report.labs["lymphocytes"].mapped
    assert report.labs["lymphocytes"].outside_reference is None
    assert not report.labels["death"].mapped
    assert report.warnings == ()


@pytest.mark.parametrize(
    ("unit", "said"),
    [
        ("10^6/uL", "far above the reference interval 1.1 to 4 10^9/L: they look like 10^9/L"),
        ("10^6/L", "far below the reference interval 1.1 to 4 10^9/L: they look like 10^9/L"),
        ("Gpt", "far above the reference interval 1.1 to 4 10^9/L: they look like 10^9/L"),
    ],
)
def test_a_wrong_unit_is_doubted(hospital: HospitalFolder, unit: str, said: str) -> None:
    hospital.configure("units", {"Gpt": "10^6/uL"})
    hospital.configure("labs.lymphocytes.unit", unit)
    (warning,) = report_of(hospital).warnings
    meant = {"Gpt": "10^6/uL"}.get(unit, unit)
    assert warning == f"lymphocytes: half of the values lie {said} rather than {meant}"


def test_doubts_about_splits_labels_and_blank_images(hospital: HospitalFolder) -> None:
    hospital.configure("training.expected_batch", 64, "study.yaml")
    rows = [{**row, "pneumonia": "0", "crp": "", "split": "train"} for row in hospital.rows()]
    hospital.write_rows(rows)
    for row in rows[:2]:
        Image.new("L", (9, 7), 30).save(hospital.folder / "images" / row["file"])
    warnings = "\n".join(report_of(hospital).warnings)
    assert "10 training patients are fewer than the study's expected batch of 64" in warnings
    assert "no patient is in the validation split" in warnings
    assert "no patient is in the test split" in warnings
    assert "label pneumonia: no training record is positive" in warnings
    assert "CRP: is mapped, but no record has a value" in warnings
    assert "2 images hold at most two grey levels" in warnings


def test_progress_counts_images(hospital: HospitalFolder) -> None:
    seen: list[tuple[int, int]] = []
    inspect(hospital.site, hospital.study, lambda done, total: seen.append((done, total)))
    assert seen == [(n, 17) for n in range(1, 18)]
