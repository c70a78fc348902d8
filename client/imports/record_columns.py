"""What the table of records holds: each column, from what is known of the records' patients."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from client.cells import years_between
from client.imports.choices import Choices
from client.imports.linking import Owners, Record
from client.sources import MOST_TEXT, History, Moment
from irene_model.errors import ConfigError

_IDS = ("record_id", "patient_id", "visit_id")
_MOST_KINDS = 20  # of notes, each a column
_ICD10 = re.compile(r"[A-Z]\d[0-9A-Z](\.?[0-9A-Z]{1,4})?", re.ASCII)
_KIND = re.compile(r"[A-Za-z0-9.\-]{1,40}", re.ASCII)  # of notes: it becomes a column's name
_CONTROLS = {code: " " for code in range(32) if chr(code) not in "\n\t"}
_AS_ICD10 = {"sure": "", "suspected": " V", "excluded": " A"}
Cells = dict[str, list[str]]


def columns_of(
    records: Sequence[Record], history: History, owners: Owners, choices: Choices
) -> Cells:
    """Name -> a cell for each record, of the columns that hold anything.

    Raises:
        ConfigError: no text is of the kinds that were chosen as complaint.
    """
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
    return {
        name: cells if name in _IDS else [_plain(cell) for cell in cells]
        for name, cells in columns.items()
        if name in _IDS[:2] or any(cells)
    }


def _plain(text: str) -> str:
    """Without signs that are no text, as zero bytes, and with one kind of line break."""
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(_CONTROLS)


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
    notes = sorted(history.notes, key=lambda note: _order(note.at))
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


def _order(at: Moment | None) -> tuple[bool, float]:
    """By time, those without one last."""
    untimed = at is None or not at.has_day
    return untimed, 0.0 if at is None or untimed else at.seconds


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
