"""Each table of figures in the documentation names its command; the cheap ones come out again."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.drills.documented_figures import Documented, documented, measured_again, missing
from tests.drills.documented_tables import Table, tables, tables_of

LISTED = {entry.table: entry for entry in documented()}
COMPARED = [entry for entry in documented() if entry.tolerance is not None and entry.minutes <= 5]
# A cell there begins with a number, which no one measured.
NO_FIGURES = {"docs/hospital.md: the cell | means"}


def figures() -> dict[str, Table]:
    return {table.name: table for table in tables() if table.of_figures}


def test_each_table_of_figures_is_listed_with_its_command() -> None:
    assert figures().keys() - NO_FIGURES == LISTED.keys(), (
        "tests/drills/documented_figures.yaml lists the tables of figures and their commands"
    )
    assert len(documented()) == len(LISTED)
    for entry in documented():
        assert entry.minutes > 0 and (entry.tolerance is None) != (entry.why is None), entry.table


@pytest.mark.parametrize("name", LISTED)
def test_the_command_stands_in_the_tables_section(name: str) -> None:
    table, entry = figures()[name], LISTED[name]
    assert entry.command in " ".join(table.around.split()), f"{table.page}:{table.line}"


def test_a_table_and_its_section_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A\n\n`python -m a`\n\n| x | y |\n| --- | ---: |\n| one | **1.5** |\n\n## B\n\nwords\n"
        "\n| key | means |\n| --- | --- |\n| `a` | what 2 are |\n"
    )
    (figure, words) = (replace(each) for each in tables_of(page, tmp_path))
    assert figure.of_figures and not words.of_figures
    assert (figure.name, figure.line, figure.section) == ("page.md: x | y", 5, "A")
    assert figure.rows == (("one", "1.5"),) and "python -m a" in figure.around
    assert "words" not in figure.around and "words" in words.around


def test_a_row_that_comes_out_otherwise_is_told() -> None:
    table = Table(
        page="p", line=1, section="s", heading="h", around="",
        rows=(("`one`, two", "1.50", "2,000 (−3)"), ("12", "7")),
    )  # fmt: skip
    assert missing(table, ["one: 1.501 9 2000 -3.0", "| 12 | 7.004 |"], 0.01) == []
    (wrong,) = missing(table, ["one: 1.6 2000 -3", "| 12 | 7 |"], 0.01)
    assert "`one`" in wrong
    assert len(missing(table, ["one: 2000 1.5 -3", "| 112 | 7 |"], 0.01)) == 2  # order; another row


@pytest.mark.slow
@pytest.mark.figures
@pytest.mark.parametrize("entry", COMPARED, ids=lambda entry: entry.command)
def test_a_table_comes_out_again(entry: Documented) -> None:
    assert measured_again(entry) == []
