"""Labels of columns that name diseases: ICD-10 codes, or lists of findings, one or more of them.

A code is compared without its point and in capitals, so `J18` is the beginning of `J18.9` and of
`J189`, and `J12-J18` are all categories from one to the other. The letter that Germany writes
behind a code says how sure it is: G and none are sure, V (suspected) and Z (a state after it) are
uncertain, and A (excluded) is no disease.
"""

import re
from collections.abc import Callable, Iterable
from typing import Literal

from client.cells.cell_error import CellError
from client.cells.kinds import kind_of
from client.site import LabelColumn, MissingWords, plain

Finding = Literal["yes", "maybe", "no", ""]
"""What a cell says of a label; empty where it says nothing."""
_BY_WEIGHT: tuple[Finding, ...] = ("yes", "maybe", "no")
_CODE = re.compile(
    r"(?P<code>[A-Z]\d[0-9A-Z](\.?[0-9A-Z]{1,4})?)[.\-]{0,2}[*+!†#]?(\s+(?P<sure>[GVAZ]))?",
    re.ASCII,
)
# The sign of certainty without a space may be part of a code: R40.2A is one of America's.
_ATTACHED = re.compile(r"[A-Z]\d[0-9A-Z]\d{0,2}[VAZ]", re.ASCII)
_OF_SIGN: dict[str | None, Finding] = {None: "yes", "G": "yes", "V": "maybe", "Z": "maybe"}


def together(findings: Iterable[Finding]) -> Finding:
    """What several cells of one record say: one that is sure outweighs all that are not."""
    said = set(findings)
    return next((each for each in _BY_WEIGHT if each in said), "")


def finding_reader(
    label: str, column: LabelColumn, missing: MissingWords
) -> Callable[[str], Finding]:
    """A reader of one cell, which may list several codes or findings."""
    read_one = _code_reader(column) if column.icd10 else _name_reader(label, column)
    between = re.compile(r"[;,|\n]" if column.icd10 else r"[;|\n]")
    unknown = set(map(plain, column.unknown))

    def read(cell: str) -> Finding:
        if cell in missing or plain(cell) in unknown:
            return ""
        parts = (part.strip() for part in between.split(cell))
        return together(read_one(part) for part in parts if part)

    return read


def _code_reader(column: LabelColumn) -> Callable[[str], Finding]:
    matches, unsure = _matcher(column.icd10), _matcher(column.uncertain)

    def read(part: str) -> Finding:
        found = _CODE.fullmatch(part.upper())
        if found is None:
            raise CellError(
                f"is {kind_of(part)}, expected ICD-10 codes, as J18.9, with ; , or | between them"
            )
        code = found["code"].replace(".", "")
        if not matches(code):
            return "maybe" if unsure(code) and found["sure"] != "A" else "no"
        if found["sure"] is None and _ATTACHED.fullmatch(code):
            raise CellError(
                "is a code with a letter behind it, which may be a part of the code, or say that "
                "it is suspected, excluded or past; put a space before the letter if it does"
            )
        return _OF_SIGN.get(found["sure"], "no")

    return read


def _matcher(codes: tuple[str, ...]) -> Callable[[str], bool]:
    """Whether a code begins as one of `codes`, or is in a range of categories."""
    plain_codes = [code.upper().replace(".", "") for code in codes]
    beginnings = tuple(code for code in plain_codes if "-" not in code)
    ranges = [tuple(code.split("-")) for code in plain_codes if "-" in code]
    return lambda code: (
        code.startswith(beginnings) or any(low <= code[:3] <= high for low, high in ranges)
    )


def _name_reader(label: str, column: LabelColumn) -> Callable[[str], Finding]:
    listed: dict[str, Finding] = dict.fromkeys(map(plain, column.negative), "no")
    listed |= dict.fromkeys(map(plain, column.uncertain), "maybe")
    listed |= dict.fromkeys(map(plain, column.names), "yes")
    words = "|".join(re.escape(word) for word in listed if word)
    within = re.compile(rf"(?<!\w)({words})(?!\w)")

    def read(part: str) -> Finding:
        word = plain(part)
        if word in listed:
            return listed[word]
        if within.search(word):
            raise CellError(
                f"holds a name that labels.{label} lists, among other words, which may deny it; "
                f"list the whole in labels.{label}.names, .uncertain or .negative"
            )
        return "no"

    return read
