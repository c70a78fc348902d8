"""Doubts about values: what no patient has is counted, and what patients have is left alone."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from client.check.quality import inspect
from client.check.value_doubts import doubt_absent, doubt_columns, doubt_values
from irene_model.study.records import Record
from irene_model.study.study import Study
from tests.helpers.hospital_folder import STUDY as DOCUMENT
from tests.helpers.hospital_folder import HospitalFolder


def study_of(name: str, unit: str, low: float, high: float) -> Study:
    lab = {"name": name, "loinc": "1988-5", "unit": unit, "low": low, "high": high}
    vital = {"name": "temperature", "unit": "degC", "low": 36, "high": 37.5}
    panels = [{"name": "vitals", "values": [vital]}]
    return Study.model_validate({**DOCUMENT, "labs": [lab], "panels": panels})


def record(n: int, **changes: object) -> Record:
    plain = {
        "patient_id": f"P{n}",
        "record_id": f"R{n}",
        "split": "train",
        "labs": {},
        "labels": {},
    }
    return Record(**{**plain, **changes})  # type: ignore[arg-type]


def doubts(
    values: Sequence[float], name: str = "CRP", unit: str = "mg/L", low: float = 0, high: float = 5
) -> list[str]:
    records = [record(n, labs={name: value}) for n, value in enumerate(values)]
    return doubt_values(study_of(name, unit, low, high), records)


@pytest.mark.parametrize(
    ("values", "measurement", "said"),
    [
        ([1, 2, -99, -99], ("CRP", "mg/L", 0, 5), "CRP: 2 values lie beyond what a living person"),
        ([5, 6, 7100], ("WBC", "10^9/L", 4, 10), "WBC: 1 value lies beyond what a living person"),
        ([37, 95], ("temperature", "degC", 36, 37.5), "(20 to 46 degC)"),
        ([4, 999], ("potassium", "mmol/L", 3.5, 5.1), "potassium: 1 value lies beyond"),
        ([1, 999, 999, 999], ("CRP", "mg/L", 0, 5), "CRP: 3 values are one number that looks like"),
        ([1, 9990, 9990, 9990], ("CRP", "mg/L", 0, 5), "CRP: 3 values are one number that looks"),
        ([5.0] * 12, ("CRP", "mg/L", 0, 5), "CRP: all 12 values are the same"),
        ([-math.inf] * 12, ("CRP", "mg/L", 0, 5), "CRP: all 12 values are beyond detection"),
    ],
)
def test_what_no_patient_has_is_counted(
    values: list[float], measurement: tuple[str, str, float, float], said: str
) -> None:
    (doubt,) = doubts(values, *measurement)
    assert said in doubt


@pytest.mark.parametrize(
    ("values", "measurement"),
    [
        ([0.1, 500, 12, math.inf, -math.inf], ("CRP", "mg/L", 0, 5)),
        ([999, 999, 1, 2], ("CRP", "mg/L", 0, 5)),  # twice is chance
        ([700, 2, 5], ("WBC", "10^9/L", 4, 10)),  # leukaemia
        ([90_000, 100], ("troponin", "ng/L", 0, 14)),
        ([-12, -1, -1, -1, 3], ("base excess", "mmol/L", -2, 3)),
        ([99, 99, 99, 98], ("SpO2", "%", 95, 100)),
        ([30.5, 41.9], ("temperature", "degC", 36, 37.5)),
        ([], ("CRP", "mg/L", 0, 5)),
    ],
)
def test_what_patients_have_is_left_alone(
    values: list[float], measurement: tuple[str, str, float, float]
) -> None:
    assert doubts(values, *measurement) == []


def test_panels_are_looked_at_too() -> None:
    values = [37.0, 36.5, 95.0, math.nan]
    records = [record(n, panels={"vitals": np.array([v])}) for n, v in enumerate(values)]
    (doubt,) = doubt_values(study_of("CRP", "mg/L", 0, 5), records)
    assert doubt.startswith("temperature: 1 value lies beyond what a living person has (20 to 46")


def test_ages_texts_and_ids() -> None:
    study = study_of("CRP", "mg/L", 0, 5)

    def of(records: list[Record]) -> list[str]:
        return doubt_values(study, records)

    (same,) = of([record(n, age_years=99.0) for n in range(12)])
    assert same == "age: all 12 ages are the same: is it the right column?"
    (code,) = of([record(n, age_years=0.0 if n < 4 else 30.0 + n) for n in range(20)])
    assert code.startswith("age: 4 patients' records have one age that is often a code")
    assert of([record(n, age_years=30.0 + n) for n in range(60)]) == []
    (garbled,) = of([record(0, text="MÃ¼digkeit"), record(1, text="Müdigkeit, São Ângelo")])
    assert garbled.startswith("text: 1 of 2 texts have wrongly decoded letters")
    (placeholder,) = of([record(n, patient_id="00000" if n < 4 else f"{n}") for n in range(9)])
    assert placeholder.startswith("patient ids: 4 records have an id that looks like a placeholder")
    (many,) = of([record(n, patient_id="A" if n < 12 else f"{n}") for n in range(30)])
    assert many.startswith("patient ids: one patient has 12 of all 30 records")
    (cut,) = of([record(n, patient_id=f"{10**14 + n}000") for n in range(3)])
    assert cut.startswith("patient ids: 3 long ids have only zeros behind the 15th digit")
    assert of([record(n, patient_id=f"{10**17 + n}") for n in range(12)]) == []


def test_absent_tests_share_one_sentence() -> None:
    assert doubt_absent([]) == []
    assert doubt_absent(["CRP"]) == ["CRP: is mapped, but no record has a value"]
    assert doubt_absent(["A", "B"]) == ["A, B: are mapped, but no record has a value"]


def test_the_report_tells_them(hospital: HospitalFolder) -> None:
    rows = [{**row, "crp": "", "lympho": ""} for row in hospital.rows()]
    hospital.write_rows(rows)
    hospital.configure("columns.text", "record_id")
    hospital.configure("labs.CRP.column", "lympho")
    warnings = inspect(hospital.site, hospital.study).warnings
    assert "CRP, lymphocytes: are mapped, but no record has a value" in warnings
    assert (
        "column 'lympho' is mapped to labs.CRP and to labs.lymphocytes: which of them is it?"
        in warnings
    )
    assert not doubt_columns(hospital.site)[1:]
