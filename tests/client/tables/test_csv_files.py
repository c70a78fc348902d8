"""CSV files as programs write them: read as meant, or refused with the cause and the line."""

import csv
import io
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.site.table_files import Table
from client.tables.csv_files import Cells, read_csv
from irene_model.errors import DataError

PLAIN = Cells(names=["id", "text", "n"], columns=[["a", "b"], ["x", "y"], ["1", "2"]], lines=[2, 3])


def read(content: bytes | str, name: str = "t.csv", **settings: str) -> Cells:
    table = Table.model_validate({"path": Path(name), **settings})
    return read_csv(content.encode() if isinstance(content, str) else content, table, "records")


def refusal(content: bytes | str, name: str = "t.csv", **settings: str) -> str:
    with pytest.raises(DataError) as caught:
        read(content, name, **settings)
    return str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        "id,text,n\na,x,1\nb,y,2\n",
        "id,text,n\na,x,1\nb,y,2",
        "id,text,n\r\na,x,1\r\nb,y,2\r\n",
        "id,text,n\ra,x,1\rb,y,2\r",
        "\ufeffid,text,n\na,x,1\nb,y,2\n",
        "id,text,n,,\na,x,1,,\nb,y,2,,\n",
        "id,text,n\na,x,1\nb,y,2\n,,\n  , ,\n\n\x1a",
        "id , text,n\n a ,x\u200b,\u00a01\nb, y,\ufeff2\n",
        'id,"text",n\na,"x",1\nb, "y",2\n',
    ],
)
def test_what_is_harmless_is_read_as_meant(content: str) -> None:
    assert read(content) == PLAIN


@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "SEP=;"])
def test_excels_own_line_names_the_separator_and_counts_as_a_line(line: str) -> None:
    found = read(f"{line}\r\nid;text;n\r\na;x;1\r\nb;y;2\r\n")
    assert (found.names, found.columns, found.lines) == (PLAIN.names, PLAIN.columns, [3, 4])


def test_a_tsv_is_of_tabs_unless_told_otherwise() -> None:
    assert read("id\ttext\tn\na\tx\t1\nb\ty\t2\n", "t.tsv") == PLAIN
    assert read("id;text;n\na;x;1\nb;y;2\n", "t.tsv", separator=";") == PLAIN
    assert read("id\ttext\tn\na\tx\t\n", "t.tsv").columns == [["a"], ["x"], [""]]


def test_long_cells_are_read_whole() -> None:
    letter = "discharge letter, " * 12_000
    assert read(f'id,text\na,"{letter}"\n').columns[1] == [letter.strip()]


def test_lines_are_an_editors_also_behind_cells_of_several_lines() -> None:
    found = read('id,text\na,"one\ntwo\n\nfour"\n\nb,x\n"c","y\nz"\nd,w\n')
    assert (found.columns[0], found.lines) == (["a", "b", "c", "d"], [2, 7, 8, 10])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("id;text;n\na;x;1\n", 'separated by a semicolon, .* set records.separator: ";"'),
        ("id\ttext\na\tx\n", r'separated by a tab, .* set records.separator: "\\t"'),
        ("id|text\na|x\n", r'separated by a vertical bar, .* set records.separator: "\|"'),
        ("id;a,b;n\na;x,1;1\n", "separated by a semicolon"),
        ("id;crp\na;5,5\nb;6\n", "separated by a semicolon"),
        ("Export 2024\n\nid,text,n\na,x,1\n", "line 3: has 3 cells, the header has 1; is there a "),
        ("Export, 2024\nid,text,n,m\na,x,1,2\n", "line 2: .* a title above the header"),
        ("id,text,n\na,x,1\n2 rows selected.\n", "line 3: has 1 cell, .* a total or a remark"),
        ("id,text,n\na,x,1\n2 rows\nb,y,2\n", "line 3: has 1 cell, .* cut off here, or a line "),
        ("id,text,n\na,x\nb,y,2\n", "line 2: has 2 cells, .* cut off here, or a line broken"),
        ("id,text,n\na,x, y,1\n", "line 2: has 4 cells, the header has 3; put cells that hold "),
        ("id,text,n\na,x,1,\nb,y,2,\n", "line 2: has 4 cells, .* end the header in one too"),
        ("id,text,n,\na,x,1,2\n", "line 2: has 4 cells, the header has 3"),
        ("id,text\na,x\nid,text\nb,y\n", "line 3: repeats the header"),
        ('id,text\na,x\nb,"y\nc,z\n', "line 3: is not valid CSV: a quote is opened here and never"),
        ('id,text\na,"x\nb,"y"\n', "line 2: is not valid CSV: text follows a closing quote"),
        ('id,text\na,"x \\"y\\" z"\n', r'line 2: is not valid CSV: .* written \\"; expected two'),
        ('id,text\na,"x\nb,y,"\nc,"z",1\n', "line 4: has 3 cells"),
        ('id,text\na,"x\nb",y\nc,z\n', "line 2: has 3 cells, .* it reaches to line 3: is a quote"),
    ],
)
def test_the_cause_is_named(content: str, said: str) -> None:
    found = refusal(content)
    assert re.search(said, found), found


def test_a_shifted_row_is_never_taken_for_a_short_one() -> None:
    """An unquoted comma in every row, and a last column that is empty in every row."""
    rows = "".join(f"{n},cough, fever,40,\n" for n in range(5))
    assert "line 2: has 5 cells, the header has 4" in refusal(f"id,text,age,death\n{rows}")


CELL = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\u2028\u2029"))


@given(
    st.lists(st.lists(CELL, min_size=3, max_size=3), min_size=1, max_size=6),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_whatever_is_written_whole_is_read_whole(
    rows: list[list[str]], separator: str, end: str, encoding: str
) -> None:
    rows = [[f"k{n}", *(f"<{cell}>" for cell in row)] for n, row in enumerate(rows)]
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([["id", "x", "y", "z"], *rows])
    found = read(
        text.getvalue().encode(encoding),
        separator=separator,
        encoding=encoding.removesuffix("-sig"),
    )
    assert [list(row) for row in zip(*found.columns, strict=True)] == rows
    assert found.lines == list(range(2, len(rows) + 2))
