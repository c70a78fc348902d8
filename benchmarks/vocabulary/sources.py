"""The public lists that the clinical vocabulary is made of, read to words.

All may be used, changed and passed on by anyone; what is asked for in return stands at the head of
the vocabulary itself.
"""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from xml.etree.ElementTree import iterparse

from irene_model.errors import ConfigError

_LETTERS, _WORD = re.compile(r"[a-z]+"), re.compile(r"[a-z0-9]+")
_REGIONS = ("english", "american", "british")
_KINDS = ("words", "abbreviations", "contractions", "upper")
_TITLES = {"desc", "note", "title"}
_OWN = Path(__file__).with_name("clinical_words.txt")


def scowl(folder: Path, levels: Iterable[int]) -> set[str]:
    """Words of SCOWL, American and British, of the given levels: 10 are the most common ones.

    Kevin Atkinson's Spell Checker Oriented Word Lists, as a package `scowl` installs them in
    /usr/share/dict/scowl. A folder without them is a ConfigError.
    """
    paths = [
        folder / f"{region}-{kind}.{level}"
        for level in levels
        for region in _REGIONS
        for kind in _KINDS
    ]
    found = [path.read_text(encoding="latin-1") for path in paths if path.is_file()]
    if not found:
        raise ConfigError(f"{folder}: holds no list of SCOWL, as english-words.10")
    lines = (line.strip().removesuffix("'s") for text in found for line in text.splitlines())
    return {word for line in lines for word in _words(line)}


def icd_10_cm(path: Path) -> Counter[str]:
    """Word -> how many titles and notes of ICD-10-CM's tabular list hold it.

    The list of the US National Center for Health Statistics, in the public domain, as its XML.
    """
    found: Counter[str] = Counter()
    for _, element in iterparse(path):
        if element.tag in _TITLES and element.text:
            found.update(_words(element.text))
    if not found:
        raise ConfigError(f"{path}: holds no titles of ICD-10-CM")
    return found


def own_words() -> set[str]:
    """The project's own words of radiographs and the chest; some have digits, as `spo2`."""
    lines = _OWN.read_text(encoding="utf-8").splitlines()
    written = " ".join(line for line in lines if not line.startswith("#"))
    return {word for word in _WORD.findall(written) if not word.isdigit()}


def _words(text: str) -> set[str]:
    """What a WordPiece tokenizer takes for a word, in lower case, if it is letters alone."""
    return {word for word in _WORD.findall(text.lower()) if _LETTERS.fullmatch(word)}
