"""A text that says what the model shall find out is told of, in whatever ending, by counts."""

import pytest

from client.texts.leakage import count_naming, doubt_naming, names_label
from irene_model.study.records import Record


def records(positive: list[str], negative: list[str], label: str = "pneumonia") -> list[Record]:
    return [
        Record(
            patient_id=f"P{value}{n}",
            record_id=f"R{value}{n}",
            split="train",
            text=text,
            labs={},
            labels={label: value},
        )
        for value, texts in ((1, positive), (0, negative))
        for n, text in enumerate(texts)
    ]


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("pneumonia", "Suspected PNEUMONIA."),
        ("pneumonia", "Pneumonie beidseits"),
        ("pneumonia", "neumonía, pneumonías"),
        ("pleural_effusion", "effusion, right pleural space"),
        ("interstitial lung disease", "Interstitielle Veränderung: lung diseases"),
        ("COPD", "known copd"),
        ("ICU", "moved to ICU"),
    ],
)
def test_a_label_is_known_by_its_words(label: str, text: str) -> None:
    assert names_label(label, text)


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("pneumonia", "pneumothorax"),
        ("pleural_effusion", "pleural rub"),
        ("ICU", "difficulty"),
        ("death", "deaf"),
    ],
)
def test_another_word_is_another_word(label: str, text: str) -> None:
    assert not names_label(label, text)


def test_a_text_that_names_the_label_is_doubted() -> None:
    told = records(["cough, pneumonia"] * 9 + ["cough"], ["cough"] * 9 + ["no pneumonia"])
    naming = count_naming(["pneumonia"], told)
    assert naming["pneumonia"].named_positive == 9 and naming["pneumonia"].named_negative == 1
    (sentence,) = doubt_naming(naming)
    assert sentence.startswith(
        "label pneumonia: the texts of 9 of 10 positive records name it, and of 1 of 10 negative"
    )


def test_a_label_that_all_texts_name_alike_is_not() -> None:
    asked = records(["pneumonia?"] * 12, ["pneumonia?"] * 12)
    assert doubt_naming(count_naming(["pneumonia"], asked)) == ()


def test_a_code_that_tells_the_label_is_doubted_and_not_shown() -> None:
    coded = records(["cough J18.9"] * 12, ["cough J44.1"] * 12)
    naming = count_naming(["pneumonia"], coded)
    (sentence,) = doubt_naming(naming)
    assert naming["pneumonia"].named_positive == 0
    assert "label pneumonia: 2 words stand in" in sentence and "j18" not in sentence.lower()


def test_few_texts_prove_nothing_and_none_is_no_error() -> None:
    assert doubt_naming(count_naming(["pneumonia"], records(["alpha"] * 9, ["beta"] * 9))) == ()
    assert doubt_naming(count_naming(["pneumonia"], records([], []))) == ()
