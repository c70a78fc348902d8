from .causes import form_of
from .codes import cause_of_codes, passed_over
from .keys import compared, visible
from .partners import NO_RECORD, Account, JoinCounts, TableRows, count_partners, judge

__all__ = [
    "NO_RECORD",
    "Account",
    "JoinCounts",
    "TableRows",
    "cause_of_codes",
    "compared",
    "count_partners",
    "form_of",
    "judge",
    "passed_over",
    "visible",
]
