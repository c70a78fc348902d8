"""Texts that seem to name a person: counted by plain rules, and never shown.

The rules find what has a form: an address, a number, a date, a title before a name. They miss a
name without a title, so that none found is no proof that a text is free of them.
"""

import re
from collections.abc import Mapping, Sequence

from irene_model.study import Record

_TITLES = (
    r"Mr|Mrs|Ms|Miss|Dr|Prof|Herr[n]?|Frau|Mme|Mlle|M(?=\.)|Monsieur|Madame|Sr|Sra|Señor|Señora|Sig|"
    r"Signor|Signora|Dhr|Mevr"
)
_MONTHS = (
    r"jan|feb|m[aä]r|apr|ma[iyj]|jun|jul|aug|sep|o[ck]t|nov|de[cz]|janv|f[eé]vr|avr|juin|juil|"
    r"ao[uû]t|ene|abr|ago|dic|gen|mag|giu|lug|set|ott"
)
_RULES: Mapping[str, re.Pattern[str]] = {
    "names": re.compile(
        rf"\b(?:{_TITLES})\b\.?\s+(?:[A-Z]\.\s*)?[^\W\d_a-z][^\W\d_]+"
        r"|\b(?:[Nn]ame|[Nn]om|[Nn]ombre)\s*:\s*[^\W\d_a-z][^\W\d_]+"
    ),
    "dates": re.compile(
        r"\b(?:(?:19|20)\d\d[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](?:(?:19|20)\d\d|\d\d)"
        rf"|\d{{1,2}}\.?\s+(?:{_MONTHS})[^\W\d_]*\.?,?\s+(?:19|20)\d\d"
        rf"|(?:{_MONTHS})[^\W\d_]*\.?\s+\d{{1,2}},?\s+(?:19|20)\d\d)\b",
        re.IGNORECASE,
    ),
    "phone numbers": re.compile(
        r"(?<!\w)(?:\+|00)\d{1,3}[\s/-]?(?:\(0\))?\d[\d\s/-]{5,14}\d\b"
        r"|(?<!\w)\(?0\d{2,5}\)?[\s/-]\d[\d\s/-]{4,10}\d\b"
        r"|(?<!\w)\(?\d{3}\)?[\s.-]\d{3}[\s.-]\d{4}\b"
    ),
    "e-mail addresses": re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,9}"),
    "id numbers": re.compile(
        # Bounds everywhere: a cell of blanks or dashes must not keep the search busy for hours.
        r"\b(?:MRN|NHS|SSN|ID|Fall|Pat|Aufnahme|Case|Record)[\w.-]{0,10}?\s{0,3}(?:no|nr|number)?"
        r"\.?\s{0,3}[:#]?\s{0,3}(?=(?:[A-Z-]{0,9}\d){4})[\dA-Z-]{5,40}\b"
        r"|(?<![\w.,+])\d{7,}(?![\w.,])",
        re.IGNORECASE,
    ),
}


def count_identifiers(records: Sequence[Record]) -> dict[str, int]:
    """Kind -> how many texts seem to hold one; `own ids` are the record's or the patient's own."""
    found = dict.fromkeys((*_RULES, "own ids"), 0)
    for record in records:
        if not record.text:
            continue
        for kind, rule in _RULES.items():
            found[kind] += rule.search(record.text) is not None
        found["own ids"] += _holds_own_id(record, record.text)
    return found


def doubt_identifiers(found: Mapping[str, int], texts: int) -> tuple[str, ...]:
    """One sentence for all kinds."""
    told = ", ".join(f"{kind} in {count}" for kind, count in found.items() if count)
    return (f"text: of {texts} texts some seem to name people: {told}",) if told else ()


def _holds_own_id(record: Record, text: str) -> bool:
    # A short number, as 7 or 042, stands in many a text and names nobody.
    own = {id_ for id_ in (record.patient_id, record.record_id) if len(id_) > 3}
    return any(re.search(rf"(?<!\w){re.escape(id_)}(?!\w)", text) for id_ in own)
