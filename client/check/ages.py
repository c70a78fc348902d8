"""Ages of a hospital's patients: counted in steps, and doubted where no cohort is so.

A number says nothing of its unit: months of small children look like years of adults. What can't
be told is shown, so that a person sees it.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from client.site import Site
from irene_model.study import OLDEST_YEARS, Record

_STEPS = (0, 2, 18, 45, 65, 80, 95)  # years; each step begins with its number
_LEAST = 3  # records; fewer are chance
_SAME = 10  # ages that are all alike in something
_CODES = {0.0, 99.0, 100.0, 110.0, 111.0, 119.0, 120.0}
_CODE_SHARE = 0.1
_OLD, _OLD_SHARE = 95, 0.05  # at the oldest wards 3 in 100
_DEVIATIONS = 3.0
_CHILDREN = 12  # the youngest that an adult's hospital sees
_YEAR = 12  # months
AGE_MEND = "Say by `columns.age.unit` in site.yaml what the column holds: years, months or days."
# In a column's name; what is before and after is no letter, or the name goes on with a capital.
_NAMED = {
    "months": r"months?|mo|mos|mths?|monate?n?|mois|mes|meses|mesi|maand(en)?|m[aå]nader",
    "weeks": r"weeks?|wks?|wochen?|semaines?|semanas?|settimane|weken",
    "days": r"days?|tagen?|tage?|jours?|dias?|d[ií]as?|giorni|dagen|dagar",
}


def ages_of(records: Sequence[Record]) -> list[float]:
    """Years, of the records that have an age."""
    return [record.age_years for record in records if record.age_years is not None]


def count_ages(records: Sequence[Record]) -> dict[str, int]:
    """How many records there are in each step of years, as `18-44`; the last is open."""
    ages = ages_of(records)
    bounds = [*pairwise(_STEPS), (_STEPS[-1], math.inf)]
    return {
        f"{low}-{high - 1:.0f}" if high < math.inf else f"{low}+": sum(
            low <= age < high for age in ages
        )
        for low, high in bounds
    }


def notes_on_ages(site: Site, records: Sequence[Record]) -> list[str]:
    """What site.yaml leaves open about ages that are read all the same."""
    mapped = site.columns.age
    if mapped is None or mapped.column is None or mapped.unit is not None or not ages_of(records):
        return []
    return [
        "Ages are read as years, since site.yaml does not say what they are; say so by "
        f"columns.age: {{column: {mapped.column}, unit: years}} (or months, or days)"
    ]


def doubt_age_column(site: Site) -> list[str]:
    """A column whose own name speaks of another unit than the one that is read."""
    mapped = site.columns.age
    if mapped is None or mapped.column is None:
        return []
    words = re.sub(r"(?<=[a-zà-ÿ])(?=[A-ZÀ-Þ])|[\W\d_]+", " ", mapped.column).casefold().split()
    taken = mapped.unit or "years"
    named = [unit for unit, form in _NAMED.items() if any(re.fullmatch(form, w) for w in words)]
    if not named or taken in named:
        return []
    return [
        f"age: the name of its column '{mapped.column}' speaks of {named[0]}, and {taken} are read"
    ]


def doubt_ages(records: Sequence[Record]) -> list[str]:
    """What no cohort has, one sentence each."""
    ages = ages_of(records)
    if len(ages) >= _SAME and len(set(ages)) == 1:
        return [f"age: all {len(ages)} ages are the same: is it the right column?"]
    codes = {
        age: times
        for age, times in Counter(ages).items()
        if age in _CODES and times >= max(_LEAST, _CODE_SHARE * len(ages))
    }
    said = [
        f"age: {times} patients' records have one age that is often a code for unknown, as 0 or "
        "99: if it is, list it under `missing`"
        for times in codes.values()
    ]
    others = [age for age in ages if age not in codes]
    return [*said, *_doubt_unit(others)]


def _doubt_unit(ages: Sequence[float]) -> list[str]:
    total, old = len(ages), sum(age > _OLD for age in ages)
    chance = _DEVIATIONS * math.sqrt(_OLD_SHARE * (1 - _OLD_SHARE) * total)
    if old >= _LEAST and old > _OLD_SHARE * total + chance:
        return [
            f"age: {old} of {total} ages are above {_OLD} years, which few patients reach: are "
            f"they months, or days? Ages above {OLDEST_YEARS:.0f} would be refused"
        ]
    if total < _SAME:
        return []
    if all(age % _YEAR == 0 for age in ages) and len(set(ages)) > 1:
        return [f"age: all {total} ages are multiples of {_YEAR}: are they months?"]
    if max(ages) < _CHILDREN:
        return [
            f"age: all {total} ages are below {_CHILDREN} years: right at a children's hospital, "
            "otherwise are they groups, decades or scaled numbers?"
        ]
    return []
