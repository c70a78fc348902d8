"""OMOP's Common Data Model 5.4 to what is known of patients.

Of the vocabularies nothing is needed where source values are codes; with the table `concept` the
standard concepts become codes of LOINC and ICD-10 and units of UCUM. Images are those of the
extension for medical imaging (table `image_occurrence`, Park et al. 2024), if it is there.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from client.sources.history import (
    CHIEF_COMPLAINTS,
    MOST_TEXT,
    Finding,
    History,
    Note,
    Person,
    Picture,
    Progress,
    Visit,
)
from client.sources.moments import Moment, first_known, read_iso
from client.sources.omop_labs import OmopLabs
from client.sources.omop_tables import OmopTables, open_omop
from irene_model.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

_SEXES = {"8507": "male", "8532": "female", "8521": "other"}
_ICD10 = re.compile(r"[A-Z]\d[0-9A-Z](\.?[0-9A-Z]{1,4})?", re.ASCII)
_NEEDED = ("person", "visit_occurrence")


@dataclass(frozen=True, kw_only=True)
class Concept:
    """A row of the vocabularies."""

    code: str
    vocabulary: str
    name: str


def read_omop(source: Path, progress: Progress) -> tuple[History, OmopLabs]:
    """All that the tables know, and the laboratory.

    Raises:
        ConfigError, DataError: as `open_omop`; a table or column is missing, or an id has two rows.
    """
    tables = open_omop(source)
    for table in _NEEDED:
        if f"{table}_id" not in tables.columns(table):
            raise DataError(f"{source}: has no table {table} of OMOP with a column {table}_id")
    reader = _Reader(tables)
    steps = (
        *(reader.persons, reader.visits, reader.concepts, reader.notes, reader.conditions),
        reader.pictures,
    )
    for number, read in enumerate(steps):
        progress(number, len(steps))
        read()
    progress(len(steps), len(steps))
    return reader.history, reader.labs()


class _Reader:
    def __init__(self, tables: OmopTables) -> None:
        self.history = History(code_system="concepts")
        self._tables, self._tally = tables, self.history.tally
        self._concepts: dict[str, Concept] = {}

    def persons(self) -> None:
        columns = ("gender_concept_id", "year_of_birth", "month_of_birth", "day_of_birth")
        for row in self._rows("person", ("person_id", *columns)):
            own, gender, *parts = row
            person = Person(sex=_SEXES.get(gender, ""), born=_born(parts))
            if parts[0] and person.born is None:
                self._tally.pass_over("dates", "of birth, that can't be read")
            if self._is_new("person", own, self.history.persons.get(own), person):
                self.history.persons[own] = person

    def visits(self) -> None:
        columns = ("person_id", "visit_start_datetime", "visit_start_date")
        for own, patient, *times in self._rows(
            "visit_occurrence", ("visit_occurrence_id", *columns)
        ):
            visit = Visit(patient=patient, at=self._moment("visit_occurrence", times))
            if self._is_new("visit_occurrence", own, self.history.visits.get(own), visit):
                self.history.visits[own] = visit

    def concepts(self) -> None:
        """Those alone that other tables name: a vocabulary has millions."""
        import pyarrow as pa
        import pyarrow.compute as pc

        named: set[str] = set()
        for table, columns in (
            ("measurement", ("measurement_concept_id", "unit_concept_id")),
            ("condition_occurrence", ("condition_concept_id", "condition_source_concept_id")),
            ("note", ("note_class_concept_id",)),
            ("image_occurrence", ("modality_concept_id", "anatomic_site_concept_id")),
        ):
            for batch in self._tables.batches(table, columns):
                for column in batch.columns:
                    named.update(pc.unique(column).to_pylist())
        wanted = pa.array(sorted(named - {"", "0"}), pa.string())
        vocabulary_columns = ("concept_id", "concept_code", "vocabulary_id", "concept_name")
        for batch in self._tables.batches("concept", vocabulary_columns):
            kept = batch.filter(pc.is_in(batch["concept_id"], value_set=wanted))
            for own, code, vocabulary, name in _tuples(kept):
                self._concepts[own] = Concept(code=code, vocabulary=vocabulary, name=name[:256])
                self._tally.read["concept"] += 1

    def notes(self) -> None:
        columns = ("person_id", "visit_occurrence_id", "note_class_concept_id", "note_text")
        for patient, visit, kind, text, *times in self._rows(
            "note", (*columns, "note_datetime", "note_date")
        ):
            if not text:
                self._tally.pass_over("note", "no text")
                continue
            concept = self._concepts.get(kind)
            if concept is not None:
                self.history.names[kind] = concept.name
                if concept.code in CHIEF_COMPLAINTS or "chief complaint" in concept.name.lower():
                    self.history.complaints.add(kind)
            self.history.notes.append(
                Note(
                    patient=patient,
                    visit=visit,
                    at=self._moment("note", times),
                    kind=kind,
                    text=text[:MOST_TEXT],
                )
            )

    def conditions(self) -> None:
        columns = ("person_id", "visit_occurrence_id", "condition_concept_id")
        sources = ("condition_source_concept_id", "condition_source_value")
        times = ("condition_start_datetime", "condition_start_date")
        for patient, visit, concept, source, value, *at in self._rows(
            "condition_occurrence", (*columns, *sources, *times)
        ):
            of_source = self._concepts.get(source)
            icd10 = value.strip().upper()
            if of_source is not None and of_source.vocabulary.startswith("ICD10"):
                icd10 = of_source.code.upper()
                self.history.names.setdefault(icd10, of_source.name)
            standard = self._concepts.get(concept)
            if standard is not None:
                self.history.names.setdefault(concept, standard.name)
            finding = Finding(
                patient=patient,
                visit=visit,
                at=self._moment("condition_occurrence", at),
                icd10=icd10 if _ICD10.fullmatch(icd10) else "",
                code=concept if concept not in ("", "0") else "",
            )
            if not finding.icd10 and not finding.code:
                self._tally.pass_over("condition_occurrence", "neither a concept nor ICD-10")
                continue
            self.history.findings.append(finding)

    def pictures(self) -> None:
        columns = ("image_occurrence_id", "person_id", "visit_occurrence_id", "local_path")
        uids = ("image_study_uid", "image_series_uid", "accession_id")
        codes = ("modality_concept_id", "anatomic_site_concept_id")
        times = ("image_occurrence_datetime", "image_occurrence_date")
        for own, patient, visit, path, study, series, accession, modality, site, *at in self._rows(
            "image_occurrence", (*columns, *uids, *codes, *times)
        ):
            of_modality, of_site = self._concepts.get(modality), self._concepts.get(site)
            path = path.replace("\\", "/")
            names = (path, path.rpartition("/")[2], series, study, accession, own)
            picture = Picture(
                patient=patient,
                visit=visit,
                at=self._moment("image_occurrence", at),
                modality="" if of_modality is None else of_modality.code,
                body_part="" if of_site is None else of_site.name,
                accession=accession,
                names=tuple(dict.fromkeys(name for name in names if name)),
            )
            if self._is_new("image_occurrence", own, self.history.pictures.get(own), picture):
                self.history.pictures[own] = picture

    def labs(self) -> OmopLabs:
        """The laboratory, by the vocabularies."""
        loinc = self._codes_of("LOINC")
        names = {loinc[own]: self._concepts[own].name for own in loinc}
        self.history.names.update(names)
        ucum = self._codes_of("UCUM")
        return OmopLabs(tables=self._tables, history=self.history, loinc=loinc, ucum=ucum)

    def _codes_of(self, vocabulary: str) -> dict[str, str]:
        concepts = self._concepts.items()
        return {own: each.code for own, each in concepts if each.vocabulary == vocabulary}

    def _rows(self, table: str, columns: Sequence[str]) -> Iterator[tuple[str, ...]]:
        for batch in self._tables.batches(table, columns):
            self._tally.read[table] += batch.num_rows
            yield from _tuples(batch)

    def _is_new(self, table: str, own: str, known: object, read: object) -> bool:
        if not own:
            self._tally.pass_over(table, "no id")
            return False
        if known is None:
            return True
        if known != read:
            raise DataError(
                f"table {table}: an id has two rows with other contents; are two exports in one "
                "table? Keep the newer"
            )
        self._tally.pass_over(table, "there twice")
        return False

    def _moment(self, table: str, texts: Sequence[str]) -> Moment | None:
        at = first_known(texts)
        if at is None and any(texts):
            self._tally.pass_over("dates", f"of {table}, that can't be read")
        return at


def _tuples(table: "pa.Table") -> Iterator[tuple[str, ...]]:
    return zip(*(column.to_pylist() for column in table.columns), strict=True)


def _born(parts: Sequence[str]) -> Moment | None:
    """Year, month and day, of which only the year is always known."""
    year, month, day = parts
    known = [f"{year:0>4}"]
    if month not in ("", "0"):
        known.append(f"{month:0>2}")
        if day not in ("", "0"):
            known.append(f"{day:0>2}")
    return read_iso("-".join(known)) if year else None
