"""Makes the clinical vocabulary that ships with the package of public lists.

    python -m benchmarks.vocabulary.build /usr/share/dict/scowl icd10c-tabular.xml --out new.txt

The words of the basic vocabulary, common English ones, those of many diagnoses and the project's
own are kept whole. An inflected form of the rarer ones, whose stem is there, is left to the stem
and its ending, which share their vectors with others. Every other word is spelled in the pieces
that such words are most often made of.
"""

import textwrap
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.vocabulary.pieces import learn_pieces
from benchmarks.vocabulary.sources import icd_10_cm, own_words, scowl
from irene_model.console import new_app, run_app
from irene_model.inputs import vocabulary

app = new_app("Make the clinical vocabulary of public lists of words.")
_COMMON, _LESS_COMMON, _RARER = (10,), (20,), (35, 40, 50)  # levels of SCOWL
_FEWEST_TITLES = 5  # of ICD-10-CM that hold a word, for it to be kept whole
_PIECES = 4000
_ENDINGS = ("s", "es", "ed", "ing", "ly", "ness", "er")
_SHORTEST_STEM = 3
_HEAD = """\
Words of English and of clinical notes, and pieces of words. Made by `python -m
benchmarks.vocabulary.build`; its order is part of saved models: append, never insert or make anew.

From: SCOWL, levels 10 and 20, by Kevin Atkinson (levels 35 to 50 for pieces alone); the titles of
ICD-10-CM of April 2026, US National Center for Health Statistics, in the public domain; words
written for this project.

SCOWL: Copyright 2000-2011 by Kevin Atkinson. Permission to use, copy, modify, distribute and sell
these word lists, the associated scripts, the output created from the scripts, and its
documentation for any purpose is hereby granted without fee, provided that the above copyright
notice appears in all copies and that both that copyright notice and this permission notice appear
in supporting documentation. Kevin Atkinson makes no representations about the suitability of this
array for any purpose. It is provided "as is" without express or implied warranty.\
"""


@app.command()
def build(
    lists: Annotated[Path, typer.Argument(help="Folder of SCOWL's lists.")],
    diagnoses: Annotated[Path, typer.Argument(help="Tabular list of ICD-10-CM, as XML.")],
    *,
    out: Annotated[Path, typer.Option(help="The file to write.")],
) -> None:
    """Write the vocabulary; the same lists give the same file."""
    icd = icd_10_cm(diagnoses)
    common, own = scowl(lists, _COMMON), own_words()
    kept = common | own | {word for word in vocabulary() if len(word) > 1 and word.isalpha()}
    known = kept | scowl(lists, _LESS_COMMON)
    known |= {word for word, titles in icd.items() if titles >= _FEWEST_TITLES}
    whole = sorted(word for word in known if word in kept or not _inflected(word, known))
    often = Counter(dict.fromkeys(known | scowl(lists, _RARER), 1)) + icd
    tokens = dict.fromkeys([*whole, *learn_pieces(often, _PIECES)])
    tokens = {token: None for token in tokens if token not in _spelled()}
    lines = textwrap.wrap(" ".join(tokens), 98, break_long_words=False, break_on_hyphens=False)
    head = [f"# {line}".rstrip() for line in _HEAD.splitlines()]
    out.write_text("\n".join([*head, *lines, ""]), encoding="utf-8")


def _inflected(word: str, known: Collection[str]) -> bool:
    """Whether a known word and one of the endings give `word`."""
    stems = (word.removesuffix(ending) for ending in _ENDINGS if word.endswith(ending))
    return any(len(stem) >= _SHORTEST_STEM and stem in known for stem in stems)


def _spelled() -> frozenset[str]:
    """What every vocabulary has: characters and endings."""
    return frozenset(token for token in vocabulary() if len(token) == 1 or token.startswith("##"))


if __name__ == "__main__":
    run_app(app)
