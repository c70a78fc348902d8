"""Texts that seem to name people are counted, and clinical prose is left alone."""

import pytest

from client.texts.identifiers import count_identifiers, doubt_identifiers
from irene_model.study.records import Record


def record(text: str, *, patient_id: str = "P004711", record_id: str = "R000815") -> Record:
    return Record(
        patient_id=patient_id, record_id=record_id, split="train", text=text, labs={}, labels={}
    )


def kinds(text: str) -> set[str]:
    return {kind for kind, count in count_identifiers([record(text)]).items() if count}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Mrs. Miller reports cough", "names"),
        ("Herr Müller-Lüdenscheidt klagt über Husten", "names"),
        ("Überwiesen von Dr. K. Östberg", "names"),
        ("M. Dupont tousse", "names"),
        ("Name: Garcia. cough", "names"),
        ("seen on 12.03.2020 with fever", "dates"),
        ("fever since 2020-03-12", "dates"),
        ("admitted 3/12/20", "dates"),
        ("admitted on 12 March 2020", "dates"),
        ("am 3. Dezember 2019 gestürzt", "dates"),
        ("call +49 511 532 1234 back", "phone numbers"),
        ("Tel. 0511/5321234", "phone numbers"),
        ("her son (555) 123-4567", "phone numbers"),
        ("write to anna.b@example.org", "e-mail addresses"),
        ("MRN: 00451287, cough", "id numbers"),
        ("Fallnr. 12-345678", "id numbers"),
        ("insurance 123456789", "id numbers"),
        ("cough, see P004711", "own ids"),
        ("cough (R000815)", "own ids"),
    ],
)
def test_what_names_a_person_is_found(text: str, kind: str) -> None:
    assert kind in kinds(text)


@pytest.mark.parametrize(
    "text",
    [
        "Patient: cough and fever for 3 days, temp 39.4, RR 120/80, SpO2 92 %",
        "45-year-old patient, 55 M Presents with dyspnoea x2d",
        "The patient 45-year-old reports 40 pack years. Denies fever",
        "CRP 120.5 mg/L, leukocytes 12,300/uL, NT-proBNP 35000",
        "Dr said to come back. Mr and Mrs both cough",
        "COVID-19 since 2020, stage 3-4, 10-15 mg daily",
        "pain 7/10, 2-3 times",
    ],
)
def test_clinical_prose_names_nobody(text: str) -> None:
    assert kinds(text) == set()


def test_the_sentence_counts_and_shows_nothing() -> None:
    records = [record("Mrs. Miller, 12.03.2020"), record("Mr Smith coughs"), record("cough")]
    found = count_identifiers(records)
    (sentence,) = doubt_identifiers(found, 3)
    assert "names in 2" in sentence and "dates in 1" in sentence
    assert "Miller" not in sentence and "2020" not in sentence
    assert doubt_identifiers(count_identifiers([record("cough")]), 1) == ()


def test_a_short_id_is_no_name() -> None:
    assert kinds_of(record("cough for 42 days", patient_id="42", record_id="7")) == set()


def kinds_of(one: Record) -> set[str]:
    return {kind for kind, count in count_identifiers([one]).items() if count}


@pytest.mark.parametrize(
    "fill", [" ", "-", "A", "ID ", "0 ", "1-", "Dr. ", "Mr A. ", "a.", "\u00a0"]
)
def test_no_text_keeps_the_search_busy(fill: str) -> None:
    """Seconds at most, where a search in powers of the length would take years."""
    record = Record(
        patient_id="P", record_id="R", split="train", labs={}, labels={}, text=f"ID{fill * 20_000}"
    )
    assert set(count_identifiers([record]).values()) <= {0, 1}
