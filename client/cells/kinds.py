"""What a cell is, in words that give nothing away, and what would mend it."""

import re
import unicodedata

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WITH_COMMA = re.compile(r"[<>≤≥=\s]*[+-]?[\d.]*,\d+", re.ASCII)
# A flag or a unit, as `5 H`, `5*`, `5.0 mg/L`, `065Y`; a date or a ratio is another thing.
_WITH_LETTERS = re.compile(
    r"[<>≤≥]?\s*[+-]?\d+(\.\d+)?\s*[a-zµμ%*(][a-zµμ%*/()+ -]*", re.ASCII | re.IGNORECASE
)
_DATE = re.compile(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}([ T].*)?", re.ASCII)
_RANGE = re.compile(r"\d+(\.\d+)?\s*[-–]\s*\d+(\.\d+)?", re.ASCII)
_SPACED = re.compile(r"[<>≤≥]?\s*[+-]?\d{1,3}([\s'’]\d{3})+([.,]\d+)?")
_POWER = re.compile(r"[+-]?\d+([.,]\d+)?\s*[x×*·]\s*10\s*(\^|\*\*)?\s*[+-]?\d+", re.IGNORECASE)
_DECLARE = (
    ", or say at the table in site.yaml how numbers are written, by `decimal` and `thousands`"
)
REMEDIES = {
    "a number with a comma": f"; write a decimal point, and nothing between thousands{_DECLARE}",
    "a number with a gap": f"; write nothing between thousands{_DECLARE}",
    "a number in other signs": "; write plain digits, and - for minus",
    "a number with a power of ten": "; write 1.5e3 or 1500",
    "a number with letters": "; keep the number alone",
    "a range": "; give one number",
}
_FORMS = {
    "a number with a gap": _SPACED,
    "a date": _DATE,
    "a range": _RANGE,
    "a number with a power of ten": _POWER,
}


def kind_of(cell: str) -> str:
    """What a cell is, in words that give nothing away."""
    if not cell:
        return "empty"
    if NUMBER.fullmatch(cell):
        return "a number"
    if _WITH_COMMA.fullmatch(cell):
        return "a number with a comma"
    if _WITH_LETTERS.fullmatch(cell):
        return "a number with letters"
    if NUMBER.fullmatch(unicodedata.normalize("NFKC", _in_plain_digits(cell))):
        return "a number in other signs"
    return next((kind for kind, form in _FORMS.items() if form.fullmatch(cell)), "text")


def _in_plain_digits(cell: str) -> str:
    digits = (str(digit) if (digit := unicodedata.digit(s, None)) is not None else s for s in cell)
    return "".join(digits).replace("\u2212", "-").replace("\u066b", ".")
