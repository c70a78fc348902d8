"""A table spoilt in one random place: the right value, or one error; never another patient's."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.records.tables import read_records
from client.site.missing import NOTHING, UNKNOWN
from client.site.site import Site
from irene_model.errors import DataError
from irene_model.study.records import Record
from irene_model.study.study import Study
from tests.helpers.hospital_folder import SITE, STUDY

ROWS = 9
HEADER = "record_id,patient_id,complaint,age,sex,split,crp,lympho,pneumonia,death_offset"
SPLITS = ("train", "train", "validation")
FIELDS = ("complaint", "age", "sex", "crp", "pneumonia", "death_offset")


def line(n: int) -> list[str]:
    """The cells of row `n`, of all kinds that a table has."""
    return [
        *(f"R{n:03d}", f"P{n // 3:03d}", '"cough, ""dry"""' if n % 2 else "Müdigkeit"),
        *(str(40 + n), "fm"[n % 2], SPLITS[n // 3], f"{n}.5" if n else "<5", "1.25"),
        *(str(n % 2), "2024-01-02" if n % 4 == 0 else ""),
    ]


@dataclass(frozen=True, kw_only=True)
class Table:
    """The records table of a site without images, free to be spoilt."""

    folder: Path

    def read(self, content: bytes) -> tuple[Record, ...]:
        (self.folder / "t.csv").write_bytes(content)
        columns = {k: v for k, v in SITE["columns"].items() if k != "image"}
        document = {**SITE, "records": {"path": "t.csv"}, "columns": columns}
        site = Site.model_validate({**document, "folder": self.folder})
        return read_records(site, Study.model_validate(STUDY))

    def rejection(self, content: bytes) -> str:
        with pytest.raises(DataError) as caught:
            self.read(content)
        return str(caught.value)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    return Table(folder=tmp_path_factory.mktemp("spoilt"))


def written(rows: list[list[str]]) -> bytes:
    return "\n".join([HEADER, *(",".join(row) for row in rows), ""]).encode()


def with_cell(column: str, rows: list[int], cell: str) -> bytes:
    cells = [line(n) for n in range(ROWS)]
    for row in rows:
        cells[row][HEADER.split(",").index(column)] = f'"{cell}"'
    return written(cells)


WHOLE = written([line(n) for n in range(ROWS)])
BYTE = st.sampled_from([*b'",;\t\n\r\\ 0159-x<\x00\x1a\xff\xc3']) | st.integers(0, 255)
SPOIL: dict[str, Callable[[bytes, int, int], bytes]] = {
    "replaced": lambda content, at, byte: content[:at] + bytes([byte]) + content[at + 1 :],
    "inserted": lambda content, at, byte: content[:at] + bytes([byte]) + content[at:],
    "deleted": lambda content, at, byte: content[:at] + content[at + 1 :],
    "cut off": lambda content, at, byte: content[:at],
}


def test_the_whole_table_is_read(table: Table) -> None:
    records = table.read(WHOLE)
    assert [record.record_id for record in records] == [f"R{n:03d}" for n in range(ROWS)]
    assert (records[1].text, records[0].text) == ('cough, "dry"', "Müdigkeit")
    assert [record.labels["death"] for record in records] == [int(n % 4 == 0) for n in range(ROWS)]


@given(st.sampled_from(sorted(SPOIL)), st.integers(0, len(WHOLE) - 1), BYTE)
def test_one_spoilt_byte_reaches_no_other_record(
    table: Table, how: str, at: int, byte: int
) -> None:
    """What a byte makes of its own row can't be known; but no row takes another's values."""
    whole, spoilt = table.read(WHOLE), SPOIL[how](WHOLE, at, byte)
    own = WHOLE[:at].count(b"\n") - 1  # the row of the byte; -1 is the header
    try:
        records = table.read(spoilt)
    except DataError as error:
        assert "\n" not in str(error) and "cough" not in str(error)
        return
    found = {record.record_id: record for record in records}
    if how == "cut off":  # behind a whole row nobody sees that there was more
        assert all(found[each] in whole for each in list(found)[:-1])
        return
    assert len(records) == ROWS
    assert [n for n in range(ROWS) if records[n] != whole[n]] in ([], [own])


@given(
    st.sampled_from(FIELDS),
    st.lists(st.integers(0, ROWS - 1), min_size=1, unique=True),
    st.sampled_from(sorted(NOTHING)),
    st.sampled_from([str, str.upper, str.title]),
)
def test_a_word_for_missing_is_a_gap_and_nothing_else(
    table: Table, column: str, rows: list[int], word: str, spell: Callable[[str], str]
) -> None:
    expected = list(table.read(WHOLE))
    for row in rows:
        old = expected[row]
        labels = {k: v for k, v in old.labels.items() if k != column}
        expected[row] = {
            "complaint": lambda old=old: replace(old, text=None),
            "age": lambda old=old: replace(old, age_years=None),
            "sex": lambda old=old: replace(old, sex=None),
            "crp": lambda old=old: replace(
                old, labs={k: v for k, v in old.labs.items() if k != "CRP"}
            ),
            "pneumonia": lambda old=old, labels=labels: replace(old, labels=labels),
            "death_offset": lambda old=old: replace(old, labels={**old.labels, "death": 0}),
        }[column]()
    assert list(table.read(with_cell(column, rows, spell(word)))) == expected


@given(
    st.sampled_from(["record_id", "patient_id", "split"]),
    st.lists(st.integers(0, ROWS - 1), min_size=1, unique=True),
    st.sampled_from([*sorted(NOTHING | UNKNOWN), "1.23457E+11", "1,2E+11", "9e+15", "Total"]),
)
def test_what_is_no_id_is_refused_with_count_and_lines(
    table: Table, column: str, rows: list[int], word: str
) -> None:
    said = table.rejection(with_cell(column, rows, word))
    others = [row + 2 for row in sorted(rows)][1:]
    assert said.startswith(f"t.csv line {min(rows) + 2}, column '{column}': is ")
    assert f"'{word}'" not in said
    if others:
        shown = ", ".join(map(str, others[:3]))
        assert f"(and {len(others)} more like it: line{'s' * (len(others) > 1)} {shown}" in said


@given(st.sampled_from(["age", "crp"]), st.integers(0, ROWS - 1), st.text("xyzq7,", min_size=3))
def test_a_wrong_number_is_one_error_that_does_not_quote_it(
    table: Table, column: str, row: int, cell: str
) -> None:
    cell = f"q{cell}q"
    said = table.rejection(with_cell(column, [row], cell))
    assert said.startswith(f"t.csv line {row + 2}, column '{column}': is text, expected a number")
    assert cell not in said
