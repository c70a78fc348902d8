"""FHIR R4 resources to what is known of patients: keys are joined later, nothing is followed."""

import base64
import binascii
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from client.sources.bundles import Found, read_resources
from client.sources.history import (
    CHIEF_COMPLAINTS,
    MOST_TEXT,
    Finding,
    History,
    LabSpool,
    Note,
    Person,
    Picture,
    Progress,
    Sure,
    Visit,
)
from client.sources.moments import Moment, first_known
from client.sources.resources import (
    KINDS,
    Attachment,
    Concept,
    Condition,
    DiagnosticReport,
    Encounter,
    ImagingStudy,
    Observation,
    Patient,
    Value,
    problem_of,
)
from irene_model.errors import DataError

_LOINC, _SNOMED = "http://loinc.org", "http://snomed.info/sct"
_UCUM = "http://unitsofmeasure.org"
_ICD10 = re.compile(r"http://hl7\.org/fhir/sid/icd-10(-[a-z]+)?|.*/icd-?10[-a-z]*", re.IGNORECASE)
_WORDS = {  # SNOMED CT and LOINC answers -> the two words that the draft explains
    **dict.fromkeys(("260385009", "260415000", "LA6577-6", "LA11883-8"), "negative"),
    **dict.fromkeys(("10828004", "260373001", "LA6576-8", "LA11882-0"), "positive"),
}
_NUMBER = re.compile(r"\s*(?P<sign>[<>]=?)?\s*(?P<number>[+-]?\d+(\.\d+)?)\s*", re.ASCII)
_COMPARATORS = ("<", "<=", ">", ">=")
_SEXES = ("male", "female", "other", "unknown")
_VOID = ("entered-in-error", "cancelled")
_DOUBT: dict[str, Sure] = {"refuted": "excluded"}
_DOUBT |= dict.fromkeys(("unconfirmed", "provisional", "differential"), "suspected")
_GERMAN_SIGN = "icd-10-gm-diagnosesicherheit"  # the end of an extension's url
_OF_SIGN: dict[str, Sure] = {"A": "excluded", "V": "suspected", "Z": "suspected"}


def read_fhir(source: Path, spool: LabSpool, progress: Progress) -> History:
    """All that bundles and NDJSON files know; laboratory values go to `spool`.

    Raises:
        DataError: of a file, or of a resource with a field that R4 doesn't allow.
    """
    history = History(code_system="snomed", complaints={*CHIEF_COMPLAINTS})
    reader = _Reader(history, spool)
    for found in read_resources(source, history.tally, progress):
        reader.read(found)
    return history


class _Reader:
    def __init__(self, history: History, spool: LabSpool) -> None:
        self._history, self._spool = history, spool
        self._tally = history.tally
        self._read: dict[type, Callable[[Found, Any, str], None]] = {
            Encounter: self._encounter,
            Observation: self._observation,
            DiagnosticReport: self._report,
            ImagingStudy: self._imaging,
            Condition: self._condition,
        }

    def read(self, found: Found) -> None:
        try:
            resource = KINDS[found.type].model_validate(found.document)
        except ValidationError as error:
            raise DataError(
                f"{found.place}: {found.type}.{problem_of(error)}, which FHIR R4 does not allow"
            ) from None
        if isinstance(resource, Patient):
            self._patient(found, resource)
            return
        if resource.status in _VOID or (
            isinstance(resource, Condition) and _code_of(resource.verificationStatus) in _VOID
        ):
            self._tally.pass_over(found.type, "entered in error, or cancelled")
            return
        patient = found.id_of(resource.subject.reference, "Patient")
        if not patient:
            self._tally.pass_over(found.type, "names no patient")
            return
        self._read[type(resource)](found, resource, patient)

    def _patient(self, found: Found, patient: Patient) -> None:
        if patient.id is None:
            self._tally.pass_over(found.type, "no id")
            return
        born = first_known([patient.birthDate])
        if patient.birthDate and born is None:
            self._tally.pass_over("dates", "of birth, that can't be read")
        sex = patient.gender if patient.gender in _SEXES else ""
        if patient.gender != sex:
            self._tally.pass_over("Patient", "a gender that FHIR does not know, left empty")
        self._history.persons[patient.id] = Person(sex=sex, born=born)
        for link in patient.link:
            other = found.id_of(link.other.reference, "Patient")
            if other:
                self._history.same.append((patient.id, other))

    def _encounter(self, found: Found, encounter: Encounter, patient: str) -> None:
        if encounter.id is None:
            self._tally.pass_over(found.type, "no id")
            return
        reasons = [text for each in encounter.reasonCode if (text := _words_of(each))]
        self._history.visits[encounter.id] = Visit(
            patient=patient,
            at=self._moment(found, encounter.period.start),
            reason=", ".join(dict.fromkeys(reasons))[:MOST_TEXT],
        )

    def _observation(self, found: Found, observation: Observation, patient: str) -> None:
        at = self._moment(
            found,
            observation.effectiveDateTime,
            observation.effectiveInstant,
            observation.effectivePeriod.start,
            observation.issued,
        )
        visit = found.id_of(observation.encounter.reference, "Encounter")
        valued = False
        for value in (observation, *observation.component):
            code = self._lab_code(value.code)
            if code in CHIEF_COMPLAINTS and value.valueString:
                self._note(patient, visit, at, code, value.valueString)
                valued = True
            elif (read := _result(value)) is not None:
                row = (patient, visit, "" if at is None else at.text, code, *read)
                self._spool.add(row, at)
                self._history.tests[code, read[2]] += 1
                valued = True
        if not valued:
            self._tally.pass_over(found.type, "neither a number nor negative or positive")

    def _report(self, found: Found, report: DiagnosticReport, patient: str) -> None:
        at = self._moment(
            found, report.effectiveDateTime, report.effectivePeriod.start, report.issued
        )
        visit = found.id_of(report.encounter.reference, "Encounter")
        kind = self._lab_code(report.code)
        forms = (self._attached(each) for each in report.presentedForm)
        text = "\n".join(filter(None, (report.conclusion, *forms)))
        if text:
            self._note(patient, visit, at, kind, text)
        for concept in report.conclusionCode:
            self._finding(patient, visit, at, concept, "sure")
        if not text and not report.conclusionCode:
            self._tally.pass_over(found.type, "neither text nor a conclusion's code")

    def _attached(self, form: Attachment) -> str:
        kind, _, parameters = form.contentType.lower().partition(";")
        if not form.data:
            self._tally.pass_over("attachments", "named by a url, which is not followed")
            return ""
        if kind.strip() != "text/plain":
            self._tally.pass_over("attachments", "no plain text")
            return ""
        latin = "8859-1" in parameters or "1252" in parameters
        try:
            content = base64.b64decode(form.data, validate=False)
            text = content.decode("cp1252" if latin else "utf-8-sig")
        except (binascii.Error, ValueError):
            self._tally.pass_over("attachments", "not in base64, or no text in their encoding")
            return ""
        if len(text) > MOST_TEXT:
            self._tally.pass_over("attachments", f"longer than {MOST_TEXT} characters")
            return ""
        return text.strip()

    def _imaging(self, found: Found, study: ImagingStudy, patient: str) -> None:
        if study.id is None:
            self._tally.pass_over(found.type, "no id")
            return
        of_series = [each.modality.code for each in study.series]
        modalities = dict.fromkeys(
            code.upper() for code in (*of_series, *(m.code for m in study.modality)) if code
        )
        sites = dict.fromkeys(s.bodySite.display or s.bodySite.code for s in study.series)
        instances = [i.uid for series in study.series for i in series.instance]
        names = (
            *instances,
            *(each.uid for each in study.series),
            *(each.value for each in study.identifier),
            study.id,
        )
        self._history.pictures[study.id] = Picture(
            patient=patient,
            visit=found.id_of(study.encounter.reference, "Encounter"),
            at=self._moment(found, study.started),
            modality="/".join(modalities),
            body_part=", ".join(filter(None, sites)),
            names=tuple(dict.fromkeys(_plain_uid(name) for name in names if name)),
        )

    def _condition(self, found: Found, condition: Condition, patient: str) -> None:
        at = self._moment(
            found, condition.onsetDateTime, condition.onsetPeriod.start, condition.recordedDate
        )
        visit = found.id_of(condition.encounter.reference, "Encounter")
        sure = _DOUBT.get(_code_of(condition.verificationStatus), "sure")
        self._finding(patient, visit, at, condition.code, sure)

    def _finding(
        self, patient: str, visit: str, at: Moment | None, concept: Concept, sure: Sure
    ) -> None:
        icd10 = snomed = ""
        for coding in concept.coding:
            if _ICD10.fullmatch(coding.system) and coding.code:
                icd10 = icd10 or coding.code.strip().upper()
                for extension in coding.extension:
                    if sure == "sure" and extension.url.endswith(_GERMAN_SIGN):
                        sure = _OF_SIGN.get(extension.valueCoding.code, "sure")
            elif coding.system == _SNOMED and coding.code:
                snomed = snomed or coding.code.strip()
            else:
                continue
            self._history.names.setdefault(coding.code.strip(), coding.display)
        if not icd10 and not snomed:
            self._tally.pass_over("Condition", "neither an ICD-10 nor a SNOMED CT code")
            return
        self._history.findings.append(
            Finding(patient=patient, visit=visit, at=at, icd10=icd10, code=snomed, sure=sure)
        )

    def _note(self, patient: str, visit: str, at: Moment | None, kind: str, text: str) -> None:
        self._history.notes.append(
            Note(patient=patient, visit=visit, at=at, kind=kind, text=text[:MOST_TEXT])
        )

    def _lab_code(self, concept: Concept) -> str:
        """The LOINC code, or the first of any vocabulary; its name is kept."""
        codings = sorted(concept.coding, key=lambda coding: coding.system != _LOINC)
        for coding in codings:
            if coding.code:
                code = coding.code.strip()
                self._history.names.setdefault(code, coding.display)
                return code
        return ""

    def _moment(self, found: Found, *texts: str) -> Moment | None:
        at = first_known(texts)
        if at is None and any(texts):
            self._tally.pass_over("dates", f"of {found.type}, that can't be read")
        elif at is not None and not at.has_day:
            self._tally.pass_over("dates", f"of {found.type}, without a day")
        return at


def _code_of(concept: Concept) -> str:
    return next((coding.code for coding in concept.coding if coding.code), "")


def _words_of(concept: Concept) -> str:
    displays = (coding.display for coding in concept.coding)
    return (concept.text or next(filter(None, displays), "")).strip()


def _plain_uid(name: str) -> str:
    return name.removeprefix("urn:oid:").removeprefix("urn:uuid:").strip()


def _result(value: Value) -> tuple[str, str, str] | None:
    """(value, comparator, unit) as a table holds it; None where there is none to hold."""
    quantity = value.valueQuantity
    if quantity is not None:
        sign = quantity.comparator if quantity.comparator in _COMPARATORS else ""
        if quantity.value is None or sign != quantity.comparator:
            return None
        ucum = quantity.system == _UCUM and quantity.code
        return f"{quantity.value!r}", sign, (quantity.code if ucum else quantity.unit).strip()
    if value.valueInteger is not None:
        return str(value.valueInteger), "", ""
    if value.valueCodeableConcept is not None:
        codes = (coding.code for coding in value.valueCodeableConcept.coding)
        word = next((_WORDS[code] for code in codes if code in _WORDS), None)
        return None if word is None else (word, "", "")
    found = _NUMBER.fullmatch(value.valueString or "")
    return None if found is None else (found["number"], found["sign"] or "", "")
