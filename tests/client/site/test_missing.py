"""Words for missing: what exports write, and what must stay a value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.site.missing import NOTHING, UNKNOWN, MissingWords

WORDS = MissingWords()


@pytest.mark.parametrize(
    "cell",
    [
        *("", "NA", "na", "N/A", "n.a.", "N. A.", "N / A", "<NA>", "#N/A", "#NULL!", "NULL"),
        *("(null)", "None", "NaN", "-nan", "NaT", "\\N", "-", "--", "–", "—", ".", "...", "…", "*"),
        *("'NULL'", "nil", "leer", "undefined", "0000-00-00", "not  applicable", "entfällt", " - "),
    ],
)  # fmt: skip
def test_there_is_nothing(cell: str) -> None:
    assert WORDS.nothing(cell) and cell in WORDS


@pytest.mark.parametrize(
    "cell",
    [
        *("?", "??", "unknown", "UNKNOWN", "not done", "Not Done", "n.d.", "n. d.", "N.D.", "ND"),
        *("[not done]", "unbekannt", "k.A.", "k. A.", "K.A", "keine Angabe", "inconnu"),
        *("non renseigné", "desconocido", "sin datos", "sconosciuto", "onbekend", "brak danych"),
        *("pending", "不明"),
    ],
)  # fmt: skip
def test_nobody_knows(cell: str) -> None:
    assert WORDS.unknown(cell) and cell in WORDS and not WORDS.nothing(cell)


@pytest.mark.parametrize(
    "cell",
    [
        *("0", "00", "-1", "5", "-.5", ".5", "5.", "<5", "no", "n", "false", "neg", "negative"),
        *("n.n.", "trace", "+", "(+)", "cough", "R-1", "P.1", "e.g.", "inf", "F", "M"),
        *("absent", "--5"),
        "unknown fever since Monday",
    ],
)  # fmt: skip
def test_a_value_is_not_missing(cell: str) -> None:
    assert cell not in WORDS


def test_a_site_adds_its_own_words() -> None:
    own = MissingWords.of(["Haemolysed", "-99", "nicht gem."])
    assert all(each in own for each in ("haemolysed", "HAEMOLYSED", "-99", "-99.0", "Nicht  gem."))
    assert all(each not in own for each in ("99", "-990", "-9.9", "haemolysed sample"))
    assert "haemolysed" not in WORDS and "-99" not in WORDS


def test_a_word_means_nothing_or_unknown_and_not_both() -> None:
    assert not NOTHING & UNKNOWN
    assert all(WORDS.nothing(each) for each in NOTHING)
    assert all(WORDS.unknown(each) for each in UNKNOWN)
    assert not any(letter.isdigit() for each in UNKNOWN for letter in each)


@given(st.sampled_from(sorted(NOTHING | UNKNOWN)), st.sampled_from([str.upper, str.title, str]))
def test_case_and_edges_do_not_matter(word: str, spell: object) -> None:
    assert callable(spell)
    assert f" {spell(word)} " in WORDS


@given(st.floats(allow_nan=False))
def test_no_number_is_missing(number: float) -> None:
    assert repr(number) not in WORDS


@given(st.text(min_size=61))
def test_a_long_text_is_not_missing(text: str) -> None:
    assert text not in WORDS
