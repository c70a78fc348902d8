"""Values that are hardly a patient's: codes for missing, what nobody living has, what repeats.

Pure: records in, sentences with counts out, never a value of a patient. Bounds are wide: a doubt is
for what a spreadsheet or an interface made, not for what is rare.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from client.check.ages import doubt_ages
from client.joins import form_of
from client.site import Site
from irene_model.study import Measurement, Record, Study

# What no living person goes beyond, by what a study calls it and the unit that it is in: these are
# held so narrowly by the body that a multiple of the reference interval says nothing.
_BOUNDS = (
    (r"temp", r"(deg|°)?c(el)?(sius)?", 20.0, 46.0),
    (r"temp", r"(deg|°)?f(ahrenheit)?", 68.0, 115.0),
    (r"(heart|pulse|^hr$)", r".*min.*|bpm", 0.0, 400.0),
    (r"(resp|breath|^rr$)", r".*min.*", 0.0, 150.0),
    (r"(systol|diastol|blood.?press|^[sdm]?bp$|^rr_?(sys|dia))", r"mm\[?hg\]?", 0.0, 400.0),
    (r"(spo2|sao2|o2.?sat|saturation)", r"%", 0.0, 100.0),
    (r"(^ph$|^ph\W|\Wph$|arterial.ph)", r".*", 6.0, 8.5),
    (r"(potassium|^k\+?$|kalium)", r"m(mol|eq)/l", 0.5, 20.0),
    (r"(sodium|^na\+?$|natrium)", r"m(mol|eq)/l", 80.0, 220.0),
    (r"(chloride|^cl-?$|chlorid)", r"m(mol|eq)/l", 40.0, 200.0),
    (r"calcium", r"mmol/l", 0.3, 8.0),
    (r"(ha?emoglobin|^hb$|^hgb$)", r"g/dl", 0.5, 30.0),
    (r"(ha?emoglobin|^hb$|^hgb$)", r"g/l", 5.0, 300.0),
    (r"(ha?ematocrit|^hct$)", r"%", 1.0, 90.0),
    (r"height", r"cm", 20.0, 260.0),
    (r"weight", r"kg", 0.2, 650.0),
    (r"(fio2|fraction of inspired)", r"%", 0.0, 100.0),
    (r"(gcs|glasgow)", r".*", 3.0, 15.0),
)
# Elsewhere: leukaemia has a hundredfold of its upper bound, a troponin or ferritin a thousandfold.
_FACTOR, _FACTOR_FROM_ZERO = 500.0, 20_000.0
# 999, 8888: in any power of ten, since units may differ. 111 is a usual glucose.
_CODE = re.compile(r"([789])\1{2,}|(\d)\2{3,}|")  # 0 has no digits
_LEAST = 3  # times; twice is chance
_SHARE = 0.02  # of the values: a code for missing is not a single one
_SAME = 10  # values that are all the same are no measurement
_MOJIBAKE = re.compile("\ufffd|Ã[\x80-\xbf\u0152-\u2122]|Â[\xa0-\xbf]|â€|ï»¿")
_MARKUP = re.compile(
    r"</?(p|br|div|span|b|i|u|li|ul|td|tr|table|html|body|font)(\s+[\w-]+\s*=[^<>]{0,200})?\s?/?>"
    r"|&(amp|lt|gt|nbsp|quot|[aou]uml|szlig|#\d{1,5});|\{\\rtf1",
    re.IGNORECASE,
)
_TEMPLATE = 0.8
_PLACEHOLDER = re.compile(  # what an export writes where it has no id, and words of test systems
    r"0+|([0-9x?*#._-])\1{2,}|xx|-\d+|1234567?8?9?|(dummy|test|anonym|patient)\w*", re.IGNORECASE
)
_CUT = re.compile(r"\d{15}0+")  # Excel keeps 15 digits of a number


Numbers = npt.NDArray[
    np.float64
]  # of one measurement, in the study's unit; infinite: beyond detection


def doubt_values(study: Study, records: Sequence[Record]) -> list[str]:
    """What looks wrong in numbers, ages, texts and ids, one sentence a kind and measurement."""
    return [
        *(doubt for each in _measured(study, records) for doubt in _doubt_numbers(*each)),
        *doubt_ages(records),
        *_doubt_sexes([record.sex for record in records if record.sex is not None]),
        *_doubt_texts([r.text for r in records if r.text is not None]),
        *_doubt_patients(Counter(record.patient_id for record in records)),
    ]


def doubt_columns(site: Site) -> list[str]:
    """One sentence for each column of the records table that is mapped to two things.

    Ids and images aside: an image is often named by its record.
    """
    columns, roles = site.columns, dict[str, list[str]]()
    for role, mapped in (
        *((name, getattr(columns, name)) for name in ("age", "sex", "split")),
        *((f"labs.{name}", lab) for name, lab in site.labs.items()),
        # A column of codes or findings is that of many labels.
        *((f"labels.{n}", label) for n, label in site.labels.items() if not label.names_diseases),
    ):
        if mapped is not None and mapped.column is not None:
            roles.setdefault(mapped.column, []).append(role)
    for column in columns.text.columns if columns.text is not None else ():
        roles.setdefault(column, []).insert(0, "text")
    return [
        f"column '{column}' is mapped to {' and to '.join(both)}: which of them is it?"
        for column, both in roles.items()
        if len(both) > 1
    ]


def doubt_absent(names: Sequence[str]) -> list[str]:
    """One sentence for all that is mapped and that no record has."""
    if not names:
        return []
    verb = "is" if len(names) == 1 else "are"
    return [f"{', '.join(names)}: {verb} mapped, but no record has a value"]


def _measured(study: Study, records: Sequence[Record]) -> Iterator[tuple[Measurement, Numbers]]:
    for test in study.labs:
        labs = [record.labs[test.name] for record in records if test.name in record.labs]
        yield test, np.array(labs, np.float64)
    for panel in study.panels:
        rows = [record.panels[panel.name] for record in records if panel.name in record.panels]
        table = np.array(rows, np.float64).reshape(-1, len(panel.values))
        for index, value in enumerate(panel.values):
            yield value, table[~np.isnan(table[:, index]), index]


def _doubt_numbers(measurement: Measurement, values: Numbers) -> Iterator[str]:
    name, unit = measurement.name, measurement.unit
    found = values[np.isfinite(values)]
    if len(values) >= _SAME and not len(found):
        yield f"{name}: all {len(values)} values are beyond detection: is it the right column?"
    low, high = _plausible(measurement)
    beyond = int(((found < low) | (found > high)).sum())
    if beyond:
        verb = "value lies" if beyond == 1 else "values lie"
        yield (
            f"{name}: {beyond} {verb} beyond what a living person has ({low:g} to {high:g} "
            f"{unit}): a code for missing, or another unit?"
        )
    normal = (found >= measurement.low) & (found <= measurement.high)
    odd = found[(found >= low) & (found <= high) & ~normal]
    for number, times in zip(*np.unique(odd, return_counts=True), strict=True):
        if times >= max(_LEAST, _SHARE * len(found)) and _CODE.fullmatch(_digits(number)):
            yield (
                f"{name}: {times} values are one number that looks like a code, as 999 or 0: if it "
                "stands for missing, list it under `missing`"
            )
    if len(found) >= _SAME and (found == found[0]).all():
        yield f"{name}: all {len(found)} values are the same: is it the right column?"


def _plausible(measurement: Measurement) -> tuple[float, float]:
    """Bounds in the study's unit; infinite where nothing is known."""
    name, unit = measurement.name.casefold(), measurement.unit.casefold().replace(" ", "")
    for names, units, low, high in _BOUNDS:
        if re.search(names, name) and re.fullmatch(units, unit):
            return low, high
    if measurement.low < 0:
        return -math.inf, math.inf  # as a base excess: it has no scale to judge by
    factor = _FACTOR if measurement.low > 0 else _FACTOR_FROM_ZERO
    return 0.0, factor * measurement.high


def _digits(number: float) -> str:
    """The significant digits, without sign, point and power of ten."""
    return f"{abs(number):.9e}".split("e")[0].replace(".", "").rstrip("0")


def _doubt_sexes(sexes: Sequence[str]) -> Iterator[str]:
    if len(sexes) >= _SAME and len(set(sexes)) == 1:
        yield (
            f"sex: all {len(sexes)} are {sexes[0]}: is it so at this hospital, or are cells mapped "
            "wrongly?"
        )


def _doubt_texts(texts: Sequence[str]) -> Iterator[str]:
    most = max(Counter(texts).values(), default=0)
    if len(texts) >= _SAME and most >= _TEMPLATE * len(texts):
        yield (
            f"text: {most} of {len(texts)} texts are one and the same: is it the right column, or "
            "a phrase that an export puts there?"
        )
    wordless = sum(not any(map(str.isalpha, text)) for text in texts)
    if wordless >= max(_LEAST, _SHARE * len(texts)):
        yield (
            f"text: {wordless} of {len(texts)} texts hold numbers or signs and no letter: is it "
            "the right column?"
        )
    marked = sum(bool(_MARKUP.search(text)) for text in texts)
    if marked:
        yield (
            f"text: {marked} of {len(texts)} texts hold marks of a web page or of RTF, as <p>, "
            "which are read as words: export plain text"
        )
    garbled = sum(bool(_MOJIBAKE.search(text)) for text in texts)
    if garbled:
        yield (
            f"text: {garbled} of {len(texts)} texts have wrongly decoded letters, as Ã¤ for ä: "
            "they were read in another encoding than they were saved in, perhaps before they "
            "came here"
        )


def _doubt_patients(records_of: Counter[str]) -> Iterator[str]:
    total = records_of.total()
    odd = [n for patient, n in records_of.items() if _PLACEHOLDER.fullmatch(patient)]
    others = (total - sum(odd)) / max(1, len(records_of) - len(odd))
    if odd and max(odd) >= max(_LEAST, 2 * others):
        yield (
            f"patient ids: {sum(odd)} records have an id that looks like a placeholder, as zeros: "
            "are different patients taken for one?"
        )
    elif (most := max(records_of.values(), default=0)) >= max(_SAME, total / 5):
        yield f"patient ids: one patient has {most} of all {total} records: are they one person's?"
    alike = len(records_of) - len({form_of(patient) for patient in records_of})
    if alike:
        yield (
            f"patient ids: {alike} differ from another one only by zeros, case, spaces or "
            "punctuation: a person with two ids counts twice, and privacy is counted by id"
        )
    long = [patient for patient in records_of if patient.isdigit() and len(patient) > 15]
    if len(long) >= _LEAST and all(map(_CUT.fullmatch, long)):
        yield (
            f"patient ids: {len(long)} long ids have only zeros behind the 15th digit: a "
            "spreadsheet has cut them off, and different patients may have become one"
        )
