"""A unit's characters made plain: one micro sign, one stroke, exponents by ^, no idioms."""

import re
import unicodedata

_SIGNS = str.maketrans(
    {
        **dict.fromkeys("×✕✖·⋅•∙∗", "*"),
        **dict.fromkeys("∕⁄÷", "/"),
        **dict.fromkeys("−–‐‑", "-"),
        **dict.fromkeys("º˚", "°"),
        **dict.fromkeys("\u200b\ufeff\u200e", None),
    }
)
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_IDIOMS = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        (r"\s+", " "),
        (r"(?<![a-z])(?:per|pro)(?![a-z])", "/"),
        (r"(?<![a-z])mm\.?\s*(?:of\s*)?(?:\[hg\]|hg)(?![a-z])", "mmHg"),
        (r"(?<![a-z])cm\s*(?:\[h2o\]|h2o)(?![a-z])", "cmWater"),
        (r"(?<![a-z])(?:cu(?:bic)?\.?\s?mm|c\.?\s?mm|mmc)(?![a-z0-9])", "mm^3"),
        (r"(?<![a-z])sq\.?\s?m(?![a-z])", "m^2"),
        (r"\bcc\b", "mL"),
        (r"[{\[]?1[.,]73\s?_?m\^?2[}\]]?", "bodysurface"),
        (r"(?<![a-z])(?:i\.\s?u\.?|u\.\s?i\.?|i\.\s?e\.?)(?![a-z])", "IU"),
        (r"(?<![a-z\[])(?:°|deg(?:rees?)?\.?|grad)\s?([cfk])(?![a-z])", r"deg\1"),
        (r"(?<=[a-z])\.(?=\s|/|$)", ""),  # an abbreviation's
        (r"(?<![a-z0-9])[x*]\s?(?=10)", ""),
        (r"^[x*]?\s?e\+?0?([369]|12)(?=\s?/)", r"10^\1"),  # E9/L
        (r"(?<![a-z])vol\.?\s?-?\s?%", "%"),
        (r"(?<=kg)\s?h2o(?![a-z])", ""),
        (r"^mil\s?/\s?ml$", "10^6/mL"),  # a thousand in Spanish, but not per mL
    )
)


def normal(text: str) -> str:
    """The same unit in plain characters: one micro sign, one stroke, exponents by ^."""
    text = text.translate(_SIGNS)
    text = re.sub(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+", lambda found: "^" + found[0].translate(_SUPERSCRIPTS), text)
    text = unicodedata.normalize("NFKC", text).replace("\u03bc", "u").strip()
    for idiom, replacement in _IDIOMS:
        text = idiom.sub(replacement, text)
    return text.strip()
