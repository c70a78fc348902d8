import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from irene_model.inputs.tensors import (
    LAB_CAP,
    drop_modalities,
    encode_pixels,
    encode_records,
    scale_lab,
)
from irene_model.inputs.text import encode, vocabulary, words
from irene_model.study.records import Record
from irene_model.study.shapes import LabTest
from irene_model.study.study import Study

CRP = LabTest(name="CRP", loinc="1988-5", unit="mg/L", low=0, high=5)
STUDY = Study.model_validate(
    {
        "name": "t",
        "labels": ["x", "y"],
        "image": {"size": 16, "patch": 8},
        "text": {"max_tokens": 5, "width": 4},
        "labs": [
            CRP.model_dump(),
            {"name": "Hb", "loinc": "718-7", "unit": "g/dL", "low": 12, "high": 16},
        ],
        "federation": {"rounds": 1, "local_steps": 1},
        "privacy": {"epsilon": 1},
    }
)  # fmt: skip
FULL = Record(
    patient_id="p", record_id="r", split="train", text="fever", labs={"CRP": 5.0},
    age_years=50, sex="male", labels={"y": 1},
)  # fmt: skip


def test_the_reference_interval_is_plus_minus_ln_2() -> None:
    assert scale_lab(0.0, CRP) == pytest.approx(-math.log(2))
    assert scale_lab(2.5, CRP) == 0
    assert scale_lab(5.0, CRP) == pytest.approx(math.log(2))


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_scaling_keeps_order_and_stays_in_its_cap(first: float, second: float) -> None:
    low, high = sorted((first, second))
    assert -LAB_CAP <= scale_lab(low, CRP) <= scale_lab(high, CRP) <= LAB_CAP


def test_censored_values_are_observations_at_their_end_of_the_scale() -> None:
    assert scale_lab(math.inf, CRP) == LAB_CAP
    assert scale_lab(-math.inf, CRP) == scale_lab(0.0, CRP)


def test_what_is_there_and_what_is_missing() -> None:
    bare = replace(FULL, text=None, labs={}, age_years=None, sex=None, labels={})
    batch = encode_records([FULL, bare], STUDY)
    assert batch["lab_mask"].tolist() == [[True, False], [False, False]]
    assert batch["demographics_mask"].tolist() == [[True, True], [False, False]]
    assert batch["label_mask"].tolist() == [[False, True], [False, False]]
    assert batch["labels"].tolist() == [[0, 1], [0, 0]]
    assert batch["age"].tolist() == [0.5, 0]
    assert batch["text_mask"].tolist() == [[True, *[False] * 4], [False] * 5]
    assert batch["image_mask"].tolist() == [False, False]


def test_a_demographic_that_the_study_does_not_have_is_not_read() -> None:
    study = STUDY.model_copy(update={"demographics": ("sex",)})
    assert encode_records([FULL], study)["demographics_mask"].tolist() == [[False, True]]


def test_pixels_span_minus_one_to_one() -> None:
    pixels = encode_pixels(np.array([[[0, 255]]], dtype=np.uint8), STUDY)
    assert pixels.shape == (1, 1, 1, 2)
    assert pixels.flatten().tolist() == [-1, 1]


def test_unknown_words_are_read_by_letters_and_nothing_is_unknown() -> None:
    ids, mask = encode(["xylophonic q7!"], max_tokens=30)
    tokens = [vocabulary()[i] for i in ids[0][mask[0]].tolist()]
    assert "[UNK]" not in tokens
    assert "".join(t.removeprefix("##") for t in tokens) == "xylophonicq7!"


def test_text_is_cut_at_the_last_token_and_case_does_not_matter() -> None:
    ids, mask = encode(["Fever cough fever", "FEVER", None, "  "], max_tokens=2)
    assert mask.tolist() == [[True, True], [True, False], [False, False], [False, False]]
    assert ids[0, 0] == ids[1, 0]


@given(st.text(max_size=60))
def test_any_text_can_be_encoded(text: str) -> None:
    ids, mask = encode([text], max_tokens=8)
    assert ids.shape == mask.shape == (1, 8)
    assert bool((ids >= 0).all()) and bool((ids < len(vocabulary())).all())
    assert torch.equal(ids[~mask], torch.zeros_like(ids[~mask]))


def test_a_record_never_shows_its_values() -> None:
    assert "fever" not in repr(FULL)
    assert "50" not in repr(FULL)


# --- modality dropout --------------------------------------------------------------------------

RATES = {"image": 0.1, "text": 0.5, "labs": 0.2, "demographics": 0.0}
MASKS = {
    "image": "image_mask",
    "text": "text_mask",
    "labs": "lab_mask",
    "demographics": "demographics_mask",
}


def masks_of(present: torch.Tensor) -> dict[str, torch.Tensor]:
    """Records with the modalities in `present` (B, 4), one token of several missing in each."""
    image, text, labs, demographics = present.unbind(dim=1)
    return {
        "image_mask": image,
        "text_mask": text[:, None] & torch.tensor([True, True, False]),
        "lab_mask": labs[:, None] & torch.tensor([False, True]),
        "demographics_mask": demographics[:, None] & torch.tensor([True, False]),
        "labels": torch.zeros(len(present), 1),
    }


def shown(batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Which modalities each record has, (B, 4)."""
    rows = [batch[mask] for mask in MASKS.values()]
    return torch.stack([m if m.ndim == 1 else m.any(dim=1) for m in rows], dim=1)


def test_modalities_drop_at_their_rates_as_a_whole_and_independently() -> None:
    full = masks_of(torch.ones(20_000, 4, dtype=torch.bool))
    dropped = drop_modalities(full, RATES, STUDY, np.random.default_rng(0))
    kept = shown(dropped).float()
    for column, rate in enumerate(RATES.values()):
        assert float(1 - kept[:, column].mean()) == pytest.approx(rate, abs=0.01)
    gone = 1 - kept
    assert float((gone[:, 0] * gone[:, 1]).mean()) == pytest.approx(0.05, abs=0.01)
    for mask in MASKS.values():
        rows = dropped[mask].reshape(20_000, -1)
        whole = (rows == full[mask].reshape(20_000, -1)).all(dim=1)
        assert (whole | ~rows.any(dim=1)).all()
    assert torch.equal(full["text_mask"][0], torch.tensor([True, True, False]))  # not in place
    assert dropped["labels"] is full["labels"]


@given(st.integers(0, 2**32), st.integers(0, 40), st.floats(0, 0.99))
def test_a_record_that_has_something_keeps_something(seed: int, records: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    present = torch.from_numpy(rng.random((records, 4)) < 0.5)
    after = shown(drop_modalities(masks_of(present), dict.fromkeys(RATES, rate), STUDY, rng))
    assert torch.equal(after.any(dim=1), present.any(dim=1))
    assert not (after & ~present).any()
    lone = present.sum(dim=1) == 1
    assert torch.equal(after[lone], present[lone])


def test_what_another_record_has_changes_no_draw_of_this_one() -> None:
    present = torch.ones(50, 4, dtype=torch.bool)
    other = present.clone()
    other[1::2, :3] = False
    one, two = (
        shown(drop_modalities(masks_of(p), RATES, STUDY, np.random.default_rng(3)))
        for p in (present, other)
    )
    assert torch.equal(one[::2], two[::2])
    assert not one[::2].all()


def test_without_rates_nothing_drops() -> None:
    full = masks_of(torch.ones(9, 4, dtype=torch.bool))
    same = drop_modalities(full, dict.fromkeys(RATES, 0.0), STUDY, np.random.default_rng(0))
    assert same.keys() == full.keys()
    assert all(torch.equal(same[name], full[name]) for name in full)


def test_pieces_of_words_are_joined_to_words_as_they_are_written() -> None:
    text = "  Fever, xyl\ncough; x3d"
    ids, mask = encode([text], max_tokens=30)
    tokens = [vocabulary()[i] for i in ids[0][mask[0]].tolist()]
    by_word = {
        word: [tokens[place] for place in places] for word, places in words(text, max_tokens=30)
    }
    assert by_word == {
        "Fever,": ["fever", ","],
        "xyl": ["x", "##y", "##l"],
        "cough;": ["cough", ";"],
        "x3d": ["x", "##3", "##d"],
    }
    # Cut within the second word: it keeps what is read of it, the others have nothing.
    cut = [len(places) for _, places in words(text, max_tokens=4)]
    assert cut == [2, 2, 0, 0]
    assert words(" \n", max_tokens=3) == ()


@given(text=st.text(max_size=60), most=st.integers(1, 12))
def test_words_share_out_all_tokens_in_order(text: str, most: int) -> None:
    _, mask = encode([text], max_tokens=most)
    placed = words(text, max_tokens=most)
    assert [word for word, _ in placed] == text.split()
    if placed:
        assert [n for _, places in placed for n in places] == list(range(int(mask.sum())))
