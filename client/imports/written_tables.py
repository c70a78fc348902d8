"""The folder that an import leaves: records.csv, labs.parquet, and the draft of site.yaml."""

import csv
import errno
import io
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from client.cells import years_between
from client.imports.choices import Choices
from client.imports.linking import Owners, Record
from client.sources import MOST_TEXT, History, Tally
from irene_model.errors import ConfigError, DataError, DiskError
from irene_model.journal import open_private, private_folder
from irene_model.study import Study

if TYPE_CHECKING:
    import pyarrow as pa

RECORDS, LABS = "records.csv", "labs.parquet"
_IDS = ("record_id", "patient_id", "visit_id")
_MOST_KINDS = 20  # of notes, each a column
_ICD10 = re.compile(r"[A-Z]\d[0-9A-Z](\.?[0-9A-Z]{1,4})?", re.ASCII)
_KIND = re.compile(r"[A-Za-z0-9.\-]{1,40}", re.ASCII)  # of notes: it becomes a column's name
_CONTROLS = {code: " " for code in range(32) if chr(code) not in "\n\t"}
_AS_ICD10 = {"sure": "", "suspected": " V", "excluded": " A"}
Cells = dict[str, list[str]]


@contextmanager
def unfinished(out: Path, sources: Sequence[Path]) -> Iterator[Path]:
    """A folder beside `out` that becomes `out` at the end, or is gone where anything fails.

    Raises:
        ConfigError: `out` holds something, is within what is read, or can't be made.
    """
    if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise ConfigError(f"{out}: is not empty, or no folder; give a new one")
    if any(out.resolve().is_relative_to(source.resolve()) for source in sources):
        raise ConfigError(f"{out}: lies within what is read; give a folder beside it")
    try:
        parent = out.absolute().parent
        if not parent.exists():
            private_folder(parent)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.unfinished-", dir=parent))
    except OSError as error:
        raise ConfigError(f"{out}: can't be made ({type(error).__name__})") from None
    try:
        yield folder
        folder.replace(out)  # an empty folder of that name is replaced
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskError(f"{out}: the disk is full; nothing is left of it") from None
        # Whose name is not said: a file may be called as its patient is.
        raise DataError(
            f"{out}: a file can't be read, or not be written there ({type(error).__name__}); "
            "nothing is left of it"
        ) from None
    finally:
        if folder.exists():
            shutil.rmtree(folder)


def write_records(
    folder: Path, records: Sequence[Record], history: History, owners: Owners, choices: Choices
) -> Cells:
    """records.csv, of the columns that hold anything; returns them."""
    tally = history.tally
    if not records:
        raise DataError(
            f"no {'image' if choices.records == 'images' else 'visit'} is left to make a record "
            f"of: {_why_none(history)}"
        )
    columns: Cells = {
        "record_id": [record.id for record in records],
        "patient_id": [record.patient for record in records],
        "visit_id": [record.visit for record in records],
        "taken_at": ["" if record.at is None else record.at.text for record in records],
        "image": [record.image for record in records],
        **{
            name: ["" if r.picture is None else getattr(r.picture, name) for r in records]
            for name in ("modality", "view", "body_part", "accession")
        },
    }
    notes = _texts(records, history, owners)
    columns["complaint"] = _complaints(records, notes, history, choices)
    columns |= {f"note_{kind}": texts for kind, texts in notes.items()}
    columns["age"] = _ages(records, history)
    columns["sex"] = [history.persons[record.patient].sex for record in records]
    columns |= _diagnoses(records, history, owners)
    columns = {
        name: cells if name in _IDS else [_plain(cell) for cell in cells]
        for name, cells in columns.items()
        if name in _IDS[:2] or any(cells)
    }
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    _write(folder / RECORDS, text.getvalue().encode())
    tally.read["records"] = len(records)
    return columns


def write_labs(
    folder: Path,
    chunks: Iterable["pa.Table"],
    records: Sequence[Record],
    *,
    tally: Tally,
    owners: Owners,
    study: Study,
) -> int:
    """labs.parquet, a row for each value and each record that it belongs to; returns their number.

    Of a test of the study a value without a unit is left out, since nobody knows what it says.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    ids = pa.array([record.id for record in records], pa.string())
    patients = pa.array([record.patient for record in records], pa.string())
    needing = pa.array([test.loinc for test in study.labs if test.unit != "1"], pa.string())
    units = pa.array([test.unit for test in study.labs if test.unit != "1"], pa.string())
    words = pa.array(["negative", "positive"])
    written, writer = 0, None
    for chunk in chunks:
        needs = pc.is_in(chunk["code"], value_set=needing)
        is_word = pc.is_in(chunk["value"], value_set=words)
        bare = pc.and_(needs, pc.equal(chunk["unit"], ""))
        own = units.take(pc.index_in(chunk["code"], value_set=needing).combine_chunks())
        # Of a word the unit is no matter; the reader wants one all the same.
        unit = pc.if_else(pc.and_(bare, is_word), own, chunk["unit"])
        chunk = chunk.set_column(chunk.column_names.index("unit"), "unit", unit)
        without = pc.and_(bare, pc.invert(is_word))
        tally.pass_over("laboratory values", "without a unit", pc.sum(without).as_py() or 0)
        chunk = chunk.filter(pc.invert(without)).combine_chunks()
        row, record = owners.pairs(
            chunk["patient"], chunk["visit"], chunk["seconds"].to_numpy(zero_copy_only=False)
        )
        lost = chunk.num_rows - len(np.unique(row))
        tally.pass_over("laboratory values", "of no record, or too far from it", lost)
        if not len(row):
            continue
        taken = chunk.take(row)
        table = pa.table(
            {
                "record_id": ids.take(record),
                "patient_id": patients.take(record),
                "taken_at": taken["at"],
                **{name: taken[name] for name in ("code", "value", "comparator", "unit")},
            }
        )
        if writer is None:
            os.close(open_private(folder / LABS, os.O_WRONLY))
            writer = pq.ParquetWriter(str(folder / LABS), table.schema)
        writer.write_table(table)
        written += table.num_rows
    if writer is not None:
        writer.close()
    tally.read["laboratory rows"] = written
    return written


def write_draft(folder: Path, text: str) -> None:
    """site.yaml."""
    _write(folder / "site.yaml", text.encode())


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(open_private(path, os.O_WRONLY | os.O_TRUNC), "wb") as file:
        file.write(content)


def _plain(text: str) -> str:
    """Without signs that are no text, as zero bytes, and with one kind of line break."""
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(_CONTROLS)


def _why_none(history: History) -> str:
    causes = [f"{n} {kind}: {why}" for (kind, why), n in history.tally.passed.most_common(3)]
    return "; ".join(causes) or "nothing of the kind was there"


def _pairs(things: Sequence[tuple[str, str, float]], owners: Owners) -> Iterator[tuple[int, int]]:
    """(thing, record) of (patient, visit, seconds)."""
    import pyarrow as pa

    patients, visits, seconds = zip(*things, strict=True) if things else ((), (), ())
    rows, found = owners.pairs(
        pa.array(patients, pa.string()), pa.array(visits, pa.string()), np.array(seconds, float)
    )
    return zip(rows.tolist(), found.tolist(), strict=True)


def _texts(records: Sequence[Record], history: History, owners: Owners) -> Cells:
    """Kind of note -> the texts of each record, those of one kind by time."""
    notes = sorted(
        history.notes,
        key=lambda note: (note.at is None, 0.0 if note.at is None else _when(note.at)),
    )
    kind_of = {note.kind: note.kind if _KIND.fullmatch(note.kind) else "other" for note in notes}
    kinds = Counter(kind_of[note.kind] for note in notes)
    columns: Cells = {
        kind: [""] * len(records)
        for kind, _ in sorted(kinds.items(), key=lambda kind: (-kind[1], kind[0]))[:_MOST_KINDS]
    }
    rare = sum(n for kind, n in kinds.items() if kind not in columns)
    history.tally.pass_over("notes", f"of a kind beyond the {_MOST_KINDS} most frequent", rare)
    things = [(n.patient, n.visit, np.nan if n.at is None else n.at.seconds) for n in notes]
    placed = set()
    for thing, record in _pairs(things, owners):
        placed.add(thing)
        cells = columns.get(kind_of[notes[thing].kind])
        if cells is not None:
            joined = f"{cells[record]}\n{notes[thing].text}" if cells[record] else notes[thing].text
            cells[record] = joined[:MOST_TEXT]
    history.tally.pass_over("notes", "of no record, or too far from it", len(notes) - len(placed))
    return columns


def _complaints(
    records: Sequence[Record], notes: Cells, history: History, choices: Choices
) -> list[str]:
    """Why the patient came: the chosen kinds of notes, or the visit's reason and else its notes."""
    if choices.complaints and not set(choices.complaints) & set(notes):
        raise ConfigError(
            "--complaint: no text is of such a kind; there are: "
            f"{', '.join(sorted(notes)) or 'none'}"
        )
    kinds = choices.complaints or sorted(history.complaints)
    texts = [notes[kind] for kind in kinds if kind in notes]
    said = ["\n".join(filter(None, row)) for row in zip(*texts, strict=True)]
    said = said or [""] * len(records)
    if choices.complaints:
        return said
    return [record.reason or text for record, text in zip(records, said, strict=True)]


def _when(at: object) -> float:
    seconds = float(getattr(at, "seconds", 0.0))
    return 0.0 if np.isnan(seconds) else seconds


def _ages(records: Sequence[Record], history: History) -> list[str]:
    """In years, or as the image says it."""
    cells, rough, impossible = [], 0, 0
    for record in records:
        born, at = history.persons[record.patient].born, record.at
        if record.picture is not None and record.picture.age:
            cells.append(record.picture.age)
            continue
        years = None if born is None or at is None else years_between(born.at, at.at)
        impossible += years is None and born is not None and at is not None
        rough += years is not None and born is not None and not born.has_day
        cells.append("" if years is None else repr(years))
    history.tally.pass_over("ages", "that nobody has, left empty", impossible)
    history.tally.pass_over("ages", "by a birth date without a day, from its middle", rough)
    return cells


def _diagnoses(records: Sequence[Record], history: History, owners: Owners) -> Cells:
    """Codes of each record; one that is suspected or excluded says so."""
    codes: list[dict[str, None]] = [{} for _ in records]
    others: list[dict[str, None]] = [{} for _ in records]
    findings, placed, odd = history.findings, set(), 0
    things = [(f.patient, f.visit, np.nan if f.at is None else f.at.seconds) for f in findings]
    is_code = [bool(_ICD10.fullmatch(finding.icd10)) for finding in findings]
    for thing, record in _pairs(things, owners):
        placed.add(thing)
        finding = findings[thing]
        if is_code[thing]:
            codes[record][finding.icd10 + _AS_ICD10[finding.sure]] = None
        if finding.code:
            mark = "" if finding.sure == "sure" else f"{finding.sure} "
            others[record][mark + finding.code] = None
    odd = sum(bool(f.icd10) and not fits for f, fits in zip(findings, is_code, strict=True))
    tally = history.tally
    tally.pass_over("diagnoses", "a code that has not the form of ICD-10", odd)
    tally.pass_over("diagnoses", "of no record, or too far from it", len(findings) - len(placed))
    return {
        "icd10": ["; ".join(each) for each in codes],
        history.code_system: ["; ".join(each) for each in others],
    }
