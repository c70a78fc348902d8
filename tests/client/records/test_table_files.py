"""What a table's file may be: CSV or Parquet, its encoding, its size, and what is no table."""

import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from client.records.frames import read_frame
from client.records.tables import read_placed_records, read_records
from client.site.table_files import Table
from tests.helpers.hospital_folder import HospitalFolder
from tests.helpers.sites.read_tables import records_of, refusal


def test_parquet_reads_as_csv_does(hospital: HospitalFolder) -> None:
    expected = records_of(hospital)
    rows = hospital.rows()
    columns: dict[str, pa.Array] = {
        name: pa.array([row[name] or None for row in rows]) for name in rows[0]
    }
    columns["pneumonia"] = pa.array(
        [float(r["pneumonia"]) if r["pneumonia"] else None for r in rows]
    )
    columns["lympho"] = pa.array([float(row["lympho"]) for row in rows])
    columns["split"] = columns["split"].dictionary_encode()
    pq.write_table(pa.table(columns), hospital.folder / "encounters.parquet")
    hospital.configure("records.path", "encounters.parquet")
    assert records_of(hospital) == expected


def test_whole_floats_join_to_integers(hospital: HospitalFolder) -> None:
    path = hospital.folder / "ids.parquet"
    pq.write_table(pa.table({"id": pa.array([12.0, None, 0.5, 3.0])}), path)
    column = read_frame(hospital.site, Table(path=path), "records").column("id", "k")
    assert list(column.cells) == ["12", "", "0.5", "3"]


def test_parquet_that_is_none_is_refused(hospital: HospitalFolder) -> None:
    (hospital.folder / "encounters.parquet").write_bytes(b"PAR1 but not really PAR1")
    hospital.configure("records.path", "encounters.parquet")
    said = refusal(hospital)
    assert said == "encounters.parquet: is a damaged Parquet file; copy or export it again"


def test_lines_are_the_editors_even_after_a_cell_of_two_lines(hospital: HospitalFolder) -> None:
    hospital.set_cell(2, "crp", "SECRET")
    text = (hospital.folder / "encounters.csv").read_text(encoding="utf-8")
    line = next(i for i, row in enumerate(text.split("\n"), 1) if row.startswith("R002"))
    assert line == 6  # the header, then two records of two lines each
    said = refusal(hospital)
    assert said.startswith("encounters.csv line 6, column 'crp': is text, expected a number")
    assert "SECRET" not in said
    hospital.set_cell(2, "crp", "1.5")
    placed = read_placed_records(hospital.site, hospital.study)
    assert placed[2].place == "encounters.csv line 6"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty, it holds no byte"),
        (b"record_id,patient_id\n", "holds a header, and no rows"),
        (b"a,b\n1,2,3\n", "line 2: has 3 cells, the header has 2"),
        (b'a,b\n1,"2\n', "line 2: is not valid CSV"),
        (b"patient_id,patient_id\n1,2\n", "records.joins.0.on: two columns have this name"),
        (b"a,b\n1,\xe4\n", "byte 6 (line 2) is not utf-8 text"),
        ("a,b\n1,2\n".encode("utf-16-le"), "set records.encoding: utf-16-le"),
    ],
)
def test_files_that_are_no_table(hospital: HospitalFolder, content: bytes, said: str) -> None:
    (hospital.folder / "encounters.csv").write_bytes(content)
    assert said in refusal(hospital)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8", "cp1252", "utf-16"])
def test_encodings(hospital: HospitalFolder, encoding: str) -> None:
    hospital.set_cell(0, "complaint", "Müdigkeit, Übelkeit")
    path = hospital.folder / "encounters.csv"
    path.write_text(path.read_text(encoding="utf-8"), encoding=encoding)
    hospital.configure("records.encoding", encoding.removesuffix("-sig"))
    assert records_of(hospital)[0].text == "Müdigkeit, Übelkeit"


def test_ten_thousand_records_are_read_within_seconds(hospital: HospitalFolder) -> None:
    rows = hospital.rows()
    hospital.write_rows(
        [{**rows[n % 20], "record_id": str(n), "lympho": f"{n / 7:.4f}"} for n in range(10_000)]
    )
    site, study = hospital.site, hospital.study
    start = time.process_time()  # a busy machine is no slower by this clock
    assert len(read_records(site, study)) == 10_000
    assert time.process_time() - start < 4.0
