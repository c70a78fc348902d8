"""How much of a text is read: by the shipped vocabulary and by an encoder's own tokenizer."""

from pathlib import Path

from client.texts.legibility import count_texts, doubt_length, doubt_words
from irene_model.inputs.text import TextReader
from irene_model.inputs.text_encoder import sha256_of
from irene_model.study.records import Record
from irene_model.study.shapes import TextShape
from tests.helpers.text_encoders import WORDS, write_tiny


def records(*texts: str | None) -> list[Record]:
    return [
        Record(patient_id=f"P{n}", record_id=f"R{n}", split="train", text=t, labs={}, labels={})
        for n, t in enumerate(texts)
    ]


def shipped(max_tokens: int = 40) -> TextReader:
    return TextReader.open(TextShape(max_tokens=max_tokens, width=8))


def test_words_of_the_vocabulary_are_known_and_others_are_spelled() -> None:
    counts = count_texts(records("cough and fevers, 39.4", "Kurzatmigkeit chest"), shipped())
    assert (counts.texts, counts.words, counts.whole, counts.spelled) == (2, 5, 4, 1)
    assert counts.known == 0.8
    assert doubt_words(counts) == ()  # one of five is not more than one in five


def test_another_language_is_doubted() -> None:
    counts = count_texts(
        records("Kurzatmigkeit seit gestern, Schüttelfrost", None, "  "), shipped()
    )
    assert counts.texts == 1
    (sentence,) = doubt_words(counts)
    assert "unknown" in sentence and "Kurzatmigkeit" not in sentence


def test_letters_outside_the_vocabulary_are_unknown() -> None:
    assert count_texts(records("кашель"), shipped()).unknown == 1.0


def test_what_is_cut_is_counted_in_texts_and_tokens() -> None:
    counts = count_texts(records("cough " * 10, "cough"), shipped(max_tokens=4))
    assert (counts.cut, counts.lost, counts.tokens) == (1, 6, 11)
    (sentence,) = doubt_length(counts)
    assert "1 of 2 texts" in sentence and "55% of all tokens" in sentence


def test_no_text_is_no_doubt() -> None:
    counts = count_texts(records(None), shipped())
    assert counts.unknown == 0.0
    assert doubt_words(counts) == doubt_length(counts) == ()


def test_an_encoders_own_cutting_and_padding_do_not_count(tmp_path: Path) -> None:
    folder = write_tiny(tmp_path / "tiny")
    encoder = {
        "kind": "tokenizer", "name": "tiny", "sha256": sha256_of(folder, "tokenizer"),
        "vocab_size": len(WORDS),
    }  # fmt: skip
    shape = TextShape.model_validate({"max_tokens": 6, "width": 8, "encoder": encoder})
    counts = count_texts(
        records("cough fever " * 6, "cough xqz"), TextReader.open(shape, {"tiny": folder})
    )
    assert (counts.words, counts.spelled) == (14, 1)
    assert (counts.tokens, counts.cut, counts.lost) == (14 + 4, 1, 8)


def test_a_text_of_a_book_is_counted_at_once() -> None:
    counts = count_texts(records("discharge letter " * 12_000), shipped())
    assert (counts.texts, counts.words, counts.cut) == (1, 24_000, 1)
