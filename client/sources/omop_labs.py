"""OMOP's measurements to the laboratory's rows, column by column: there are millions of them."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from client.sources.history import LAB_COLUMNS, History
from client.sources.moments import read_iso
from client.sources.omop_tables import OmopTables

if TYPE_CHECKING:
    import pyarrow as pa

_SIGNS = {"4171756": "<", "4171754": "<=", "4171755": ">=", "4172704": ">"}  # Meas Value Operator
_WORDS = {"9189": "negative", "9191": "positive", "45878583": "negative", "45884084": "positive"}
_NUMBER = re.compile(r"\s*(?P<sign>[<>]=?)?\s*(?P<number>[+-]?\d+(\.\d+)?)\s*", re.ASCII)
_COLUMNS = (
    *("person_id", "visit_occurrence_id", "measurement_datetime", "measurement_date"),
    *("measurement_concept_id", "measurement_source_value", "value_as_number"),
    *("value_as_concept_id", "value_source_value", "operator_concept_id"),
    *("unit_source_value", "unit_concept_id"),
)


@dataclass(frozen=True, kw_only=True)
class OmopLabs:
    """`measurement`; loinc, ucum: concept -> code, of the concepts that have one.

    A number of the source counts where there is none as a number, and the source's code and unit
    where the concept says none.
    """

    tables: OmopTables
    history: History
    loinc: Mapping[str, str]
    ucum: Mapping[str, str]

    def chunks(self) -> "Iterator[pa.Table]":
        """Rows with a value, in the form of `LabSpool.chunks`; the history is told of all."""
        import pyarrow as pa
        import pyarrow.compute as pc

        tally = self.history.tally
        for rows in self._rows():
            valued = rows.filter(pc.not_equal(rows["value"], ""))
            tally.read["measurement"] += rows.num_rows
            why = "neither a number nor negative or positive"
            tally.pass_over("measurement", why, rows.num_rows - valued.num_rows)
            groups = valued.group_by(["code", "unit"]).aggregate([("value", "count")])
            for group in groups.to_pylist():
                self.history.tests[group["code"], group["unit"]] += group["value_count"]
            seconds = pa.array(_seconds(valued["at"].to_pylist()), pa.float64())
            yield valued.append_column("seconds", seconds)

    def _rows(self) -> "Iterator[pa.Table]":
        import pyarrow as pa

        for batch in self.tables.batches("measurement", _COLUMNS):
            source, number = batch["value_source_value"], batch["value_as_number"]
            code = _mapped(batch["measurement_concept_id"], self.loinc)
            unit = _mapped(batch["unit_concept_id"], self.ucum)
            sign = _mapped(batch["operator_concept_id"], _SIGNS)
            day = _moments(batch["measurement_date"])
            of_source = {
                cell: found for cell in _distinct(source) if (found := _NUMBER.fullmatch(cell))
            }
            numbers = {cell: found["number"] for cell, found in of_source.items()}
            signs = {cell: found["sign"] or "" for cell, found in of_source.items()}
            value = _first_filled(number, _mapped(source, numbers))
            columns = {
                "patient": batch["person_id"],
                "visit": batch["visit_occurrence_id"],
                "at": _first_filled(_moments(batch["measurement_datetime"]), day),
                "code": _first_filled(code, batch["measurement_source_value"]),
                "value": _first_filled(value, _mapped(batch["value_as_concept_id"], _WORDS)),
                "comparator": _first_filled(sign, _mapped(source, signs)),
                "unit": _first_filled(unit, batch["unit_source_value"]),
            }
            yield pa.table({name: columns[name] for name in LAB_COLUMNS})


def _mapped(cells: "pa.ChunkedArray", names: Mapping[str, str]) -> "pa.ChunkedArray":
    """What each cell is called in `names`; empty where it is not in it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    places = pc.index_in(cells, value_set=pa.array(list(names), pa.string()))
    return pc.fill_null(pc.take(pa.array(list(names.values()), pa.string()), places), "")


def _first_filled(one: "pa.ChunkedArray", other: "pa.ChunkedArray") -> "pa.ChunkedArray":
    import pyarrow.compute as pc

    return pc.if_else(pc.equal(one, ""), other, one)


def _moments(cells: "pa.ChunkedArray") -> "pa.ChunkedArray":
    read = ((cell, read_iso(cell)) for cell in _distinct(cells))
    return _mapped(cells, {cell: at.text for cell, at in read if at is not None})


def _distinct(cells: "pa.ChunkedArray") -> list[str]:
    found: list[str] = cells.unique().to_pylist()
    return found


def _seconds(texts: list[str]) -> list[float]:
    """Since 1970; NaN where there is no time. Many rows are of one time."""
    read = {text: read_iso(text) for text in set(texts)}
    known = {text: math.nan if at is None else at.seconds for text, at in read.items()}
    return [known[text] for text in texts]
