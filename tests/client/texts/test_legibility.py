"""How much of a text is read: by the shipped vocabulary and by an encoder's own tokenizer."""

from pathlib import Path

from client.texts.legibility import (
    count_texts,
    doubt_length,
    doubt_words,
    mend_length,
    mend_words,
)
from irene_model.inputs.text import TextReader
from irene_model.inputs.text_encoder import sha256_of
from irene_model.study.records import Record
from irene_model.study.shapes import TextShape
from tests.helpers.text_encoders import WORDS, shape_of, write_tiny


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


def test_lengths_are_told_and_how_many_windows_would_read_nearly_all() -> None:
    texts = ["cough " * n for n in (1, 2, 3, 4, 9)]
    counts = count_texts(records(*texts), shipped(max_tokens=4))
    assert (counts.median, counts.long, counts.read, counts.shared) == (3, 9, 4, 0)
    assert counts.windows_needed == 3 and "`text.windows: 3`" in mend_length(counts)
    by_windows = TextReader.open(TextShape(max_tokens=4, width=8, windows=2))
    counts = count_texts(records(*texts), by_windows)
    assert (counts.read, counts.shared, counts.cut, counts.lost) == (8, 1, 1, 1)
    assert "than the 8 tokens that the study reads" in doubt_length(counts)[0]
    endless = count_texts(records("cough " * 100), shipped(max_tokens=2))
    assert "`text.windows: 16` and a larger `text.max_tokens`" in mend_length(endless)


def test_windows_of_a_frozen_encoder_add_less_than_they_hold(tmp_path: Path) -> None:
    folder = write_tiny(tmp_path / "tiny")
    reader = TextReader.open(shape_of(folder, max_tokens=6, windows=3), {"enc": folder})
    whole = count_texts(records("cough " * 10), reader)  # and a start and an end
    assert (whole.read, whole.cut, whole.windows_needed) == (12, 0, 3)
    (cut,) = [count_texts(records("cough " * 11), reader)]
    assert (cut.cut, cut.lost, cut.windows_needed) == (1, 1, 4)
    assert int(reader.tokens(["cough " * 10])[1].sum()) == 6  # all of its three windows


def test_more_than_a_word_in_five_or_a_text_in_ten_is_a_doubt_with_its_remedy() -> None:
    spelled = records(*["cough"] * 3, "xqzxqz", "fever")
    assert doubt_words(count_texts(spelled, shipped())) == ()
    assert doubt_words(count_texts(records("xqzxqz", *["cough"] * 3), shipped())) != ()
    assert "vocabulary: clinical" in mend_words(TextShape())
    assert "vocabulary" not in mend_words(TextShape(vocabulary="clinical"))
    short = ["cough"] * 9
    assert doubt_length(count_texts(records(*short, "cough cough"), shipped(max_tokens=1))) == ()
    assert doubt_length(count_texts(records(*short[1:], "cough cough"), shipped(1))) != ()
