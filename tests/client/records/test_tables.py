"""Tables: columns, joins, units and splits to records, and where a refusal points."""

import math
import re
from pathlib import Path

import pytest

from client.records.splits import split_of
from client.site.splits import Splits
from client.site.table_files import LabTable
from irene_model.errors import ConfigError
from tests.helpers.hospital_folder import HospitalFolder
from tests.helpers.sites.read_tables import records_of, refusal


def test_records_hold_what_the_files_say(hospital: HospitalFolder) -> None:
    records = records_of(hospital)
    assert len(records) == 20
    by_id = {record.record_id: record for record in records}
    fifth = by_id["R005"]  # P002's second visit
    assert (fifth.patient_id, fifth.split, fifth.age_years, fifth.sex) == (
        "P002", "train", 32.0, "female",
    )  # fmt: skip
    assert fifth.text == "cough, and\nfever"
    assert fifth.image_path is not None and fifth.image_path.name == "5.png"
    assert fifth.labs == {"CRP": pytest.approx(5.0), "lymphocytes": pytest.approx(1.25)}
    assert fifth.labels == {"pneumonia": 0, "death": 0}
    assert by_id["R003"].image_path is None
    assert by_id["R004"].text is None
    assert by_id["R008"].age_years is None
    assert "CRP" not in by_id["R000"].labs
    assert by_id["R001"].labs["CRP"] == -math.inf
    assert by_id["R002"].labs["CRP"] == math.inf
    assert by_id["R008"].labels == {"death": 0}
    assert by_id["R000"].labels["death"] == 1


def test_like_problems_are_counted(hospital: HospitalFolder) -> None:
    for row in (3, 8, 9):
        hospital.set_cell(row, "lympho", f"1,{row}")
    assert re.search(r"\(and 2 more like it: lines \d+, \d+\)$", refusal(hospital))


def test_a_problem_in_a_joined_table_is_found_there(hospital: HospitalFolder) -> None:
    hospital.set_cell(6, "sex", "SECRET", "patients.csv")
    said = refusal(hospital)
    assert said.startswith("patients.csv line 8, column 'sex': is text, expected a cell that")
    assert "more" not in said  # the two visits of the patient share the one cell


def test_a_record_without_a_joined_row_has_gaps(hospital: HospitalFolder) -> None:
    hospital.write_rows(hospital.rows("patients.csv")[1:], "patients.csv")
    first = records_of(hospital)[0]
    assert (first.age_years, first.sex) == (None, None)


def test_a_repeated_join_value_is_refused(hospital: HospitalFolder) -> None:
    rows = hospital.rows("patients.csv")
    hospital.write_rows([*rows, rows[2]], "patients.csv")
    assert refusal(hospital).startswith(
        "patients.csv line 12, column 'patient_id': repeats an earlier row"
    )


def test_a_column_in_both_tables_is_refused(hospital: HospitalFolder) -> None:
    rows = [{**row, "crp": ""} for row in hospital.rows("patients.csv")]
    hospital.write_rows(rows, "patients.csv")
    assert "column 'crp' is also in encounters.csv" in refusal(hospital)


@pytest.mark.parametrize(
    ("dotted", "value", "said"),
    [
        ("labs.CRP.column", "crq", "no column 'crq', named by labs.CRP.column; did you mean 'crp'"),
        ("labels.pneumonia.column", "pneumo", "did you mean 'pneumonia'"),
        ("columns.age", "years", "no column 'years', named by columns.age"),
        ("records.separator", ";", 'read as separated by a semicolon; set records.separator: ","'),
        ("records.path", "encounter.csv", "encounter.csv: no such file, named by records.path"),
        ("records.path", "images", "is a folder"),
        ("records.encoding", "utf-9", "records.encoding names no known encoding"),
        ("labs.CRP.unit", "umol/L", "labs.CRP.unit: 'umol/L' can't become the study's 'mg/L'"),
        ("exclude", ["R999"], "exclude: no record has the id of entry 1;"),
        ("exclude", [f"R{n:03d}" for n in range(20)], "leaves no record"),
        ("columns.split", {"column": "split", "train": ["test"], "test": ["train"]}, None),
        ("columns.split", {"column": "split", "test": ["train", "test"], "train": []}, "no pat"),
    ],
)  # fmt: skip
def test_mapping_mistakes(
    hospital: HospitalFolder, dotted: str, value: object, said: str | None
) -> None:
    hospital.configure(dotted, value)
    if said is None:
        assert records_of(hospital)[0].split == "test"
    else:
        assert said in refusal(hospital)


def test_a_name_that_the_study_lacks_is_refused(hospital: HospitalFolder) -> None:
    hospital.configure("labels.stroke", {"column": "pneumonia"})
    with pytest.raises(ConfigError, match=r"labels\.stroke"):
        records_of(hospital)


@pytest.mark.parametrize(
    ("column", "cell", "said"),
    [
        ("record_id", "", "is empty, expected an id"),
        ("record_id", "R001", "repeats the id of an earlier row"),
        ("patient_id", "", "is empty, expected an id"),
        ("pneumonia", "2", "is a number, expected 0, 1 or empty"),
        ("lympho", "1e307", None),
        ("crp", "1e308", "is a number too large to convert"),
        ("split", "", "is empty, expected a cell that columns.split.train"),
        ("split", "test", "puts a patient into another split"),
    ],
)
def test_cell_mistakes(hospital: HospitalFolder, column: str, cell: str, said: str | None) -> None:
    hospital.set_cell(5, column, cell)
    if said is None:
        assert len(records_of(hospital)) == 20
    else:
        assert said in refusal(hospital)


def test_an_excluded_record_may_be_broken(hospital: HospitalFolder) -> None:
    hospital.set_cell(5, "crp", "haemolysed")
    hospital.configure("exclude", ["R005"])
    assert "R005" not in {record.record_id for record in records_of(hospital)}


def test_no_annotated_label_is_refused(hospital: HospitalFolder) -> None:
    for row in range(20):
        hospital.set_cell(row, "pneumonia", "")
    hospital.configure("labels.death", None)
    assert "no record has a label" in refusal(hospital)


class TestLabTable:
    """Laboratory values as one row each."""

    def long(self, hospital: HospitalFolder, rows: list[tuple[str, str, str, str]]) -> None:
        names = ("record", "loinc", "value", "unit")
        hospital.write_rows([dict(zip(names, row, strict=True)) for row in rows], "labs.csv")
        hospital.configure("labs", None)
        table = LabTable(
            path=Path("labs.csv"), on="record", test="loinc", value="value", unit="unit"
        )
        hospital.configure("lab_table", table.model_dump(mode="json"))

    def test_values_in_their_own_units(self, hospital: HospitalFolder) -> None:
        self.long(
            hospital,
            [
                ("R001", "1988-5", "4", "mg/dL"),
                ("R002", "1988-5", "4", "mg/L"),
                ("R002", "731-0", ">9", "1000/µl"),
                ("R002", "9999-9", "not asked for", ""),
                ("R003", "731-0", "", ""),
            ],
        )
        labs = [record.labs for record in records_of(hospital)]
        assert labs[:4] == [{}, {"CRP": 40.0}, {"CRP": 4.0, "lymphocytes": math.inf}, {}]

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            (("R001", "1988-5", "5", "mg/L"), "line 3, column 'record': a second value of CRP"),
            (("R999", "1988-5", "5", "mg/L"), "line 3, column 'record': names no record"),
            (("R002", "1988-5", "5", ""), "line 3, column 'unit': is empty"),
            (("R002", "1988-5", "5", "SECRET"), "can't become the study's 'mg/L': the unit is not"),
            (("R002", "1988-5", "SECRET", "mg/L"), "line 3, column 'value': is text"),
            (("R002", "1988-5", "1e308", "g/L"), "line 3, column 'value': is a number too large"),
        ],
    )
    def test_mistakes(
        self, hospital: HospitalFolder, row: tuple[str, str, str, str], said: str
    ) -> None:
        self.long(hospital, [("R001", "1988-5", "4", "mg/dL"), row])
        message = refusal(hospital)
        assert said in message and "SECRET" not in message and "R999" not in message

    def test_values_of_an_excluded_record_are_passed_over(self, hospital: HospitalFolder) -> None:
        self.long(hospital, [("R000", "1988-5", "4", "mg/L"), ("R001", "1988-5", "5", "mg/L")])
        hospital.configure("exclude", ["R000"])
        assert records_of(hospital)[0].labs == {"CRP": 5.0}


def test_the_split_by_hash_is_stable_and_by_patient() -> None:
    splits = Splits(validation=0.1, test=0.2)
    drawn = [split_of(f"patient {n}", splits) for n in range(5000)]
    assert drawn[:6] == [split_of(f"patient {n}", splits) for n in range(6)]
    assert drawn.count("validation") == pytest.approx(500, abs=80)
    assert drawn.count("test") == pytest.approx(1000, abs=110)
    # Golden, so that no release moves patients between splits: sha256 of P000 ... P005 as
    # fractions is .258, .872, .932, .070, .003, .888.
    assert [split_of(f"P00{n}", splits) for n in range(6)] == [
        "test", "train", "train", "validation", "validation", "train",
    ]  # fmt: skip


def test_without_a_split_column_patients_stay_whole(hospital: HospitalFolder) -> None:
    hospital.configure("columns.split", None)
    homes: dict[str, set[str]] = {}
    for record in records_of(hospital):
        homes.setdefault(record.patient_id, set()).add(record.split)
    assert all(len(splits) == 1 for splits in homes.values())
