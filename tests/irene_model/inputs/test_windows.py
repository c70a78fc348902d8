"""Long texts read by windows: every token once, neighbours sharing a place of the model."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoModel

from irene_model.errors import ConfigError
from irene_model.inputs.text import TextReader, encode, vocabulary, words
from irene_model.inputs.text_encoder import ABSENT
from irene_model.study.settings import parse
from irene_model.study.shapes import TextShape
from irene_model.study.study import Study
from irene_model.weights.weights import config_of, new_model
from tests.helpers.hospital_folder import STUDY as DOCUMENT
from tests.helpers.text_encoders import WORDS, shape_of, write_tiny

LONG = "cough fever and chest pain no cough and fever no chest"


@given(text=st.text(max_size=80), most=st.integers(1, 7), windows=st.integers(2, 5))
def test_each_token_that_is_read_has_one_place_in_order(text: str, most: int, windows: int) -> None:
    whole, there = encode([text], max_tokens=most * windows)
    ids, mask = encode([text], max_tokens=most, windows=windows)
    assert ids.shape == (1, most, windows)
    assert ids[ids != ABSENT].tolist() == whole[there].tolist()
    assert torch.equal(mask, (ids != ABSENT).any(dim=2))
    if there.sum() <= most:  # a short text is read as without windows
        assert torch.equal(ids[..., 0].clamp(min=0), whole[:, :most])


@given(text=st.text(max_size=80), most=st.integers(1, 7), windows=st.integers(1, 5))
def test_words_share_out_every_place_that_is_read(text: str, most: int, windows: int) -> None:
    _, mask = encode([text], max_tokens=most, windows=windows)
    shares = torch.zeros(most)
    for _, places in words(text, max_tokens=most, windows=windows):
        for place, share in places.items():
            shares[place] += share
    torch.testing.assert_close(shares, mask[0].float())


def test_a_frozen_encoder_reads_overlapping_windows_and_places_have_their_mean(
    tmp_path: Path,
) -> None:
    folder = write_tiny(tmp_path / "enc")
    reader = TextReader.open(shape_of(folder, max_tokens=6, windows=4), {"enc": folder})
    ids, mask = reader.tokens([LONG, "cough", None, LONG])
    assert reader.encoder is not None and reader.most_read == 6 + 3 * 3
    vectors = reader.encoder.vectors(ids, mask).float()

    # Independently: windows of 6 tokens with [CLS] and [SEP], each begins 3 words after the other.
    plain = Tokenizer.from_file(str(folder / "tokenizer.json"))
    plain.no_padding()
    plain.no_truncation()
    content = plain.encode(LONG, add_special_tokens=False).ids
    assert len(content) == 11
    model = AutoModel.from_pretrained(folder).eval()
    read = []
    for start in (0, 3, 6, 9):
        tokens = [2, *content[start : start + 4], 3]
        with torch.no_grad():
            read.append(model(input_ids=torch.tensor([tokens])).last_hidden_state[0])
    flat = torch.cat(read)
    expected = torch.stack(
        [flat[start : start + 4].mean(dim=0) for start in range(0, len(flat), 4)]
    )
    assert mask.sum(dim=1).tolist() == [len(expected), 3, 0, len(expected)]
    torch.testing.assert_close(vectors[0, : len(expected)], expected, atol=5e-3, rtol=5e-3)
    assert torch.equal(vectors[0], vectors[3]) and not vectors[2].any()
    once = TextReader.open(shape_of(folder, max_tokens=6), {"enc": folder})
    assert once.encoder is not None
    short = once.encoder.vectors(*once.tokens(["cough"]))[0].float()
    assert torch.equal(short, vectors[1])


def test_an_encoders_tokenizer_reads_long_texts_with_one_start_and_end(tmp_path: Path) -> None:
    folder = write_tiny(tmp_path / "enc")
    shape = shape_of(folder, "tokenizer", max_tokens=4, windows=3)
    reader = TextReader.open(shape, {"enc": folder})
    ids, _ = reader.tokens([LONG])
    read = [WORDS[each] for each in ids[ids != ABSENT].tolist()]
    assert read == ["[CLS]", *LONG.split()[:10], "[SEP]"] and reader.most_read == 12


def study_of(**text: object) -> Study:
    return Study.model_validate({**DOCUMENT, "text": {"max_tokens": 4, "width": 8, **text}})


def test_a_place_has_the_mean_of_its_tokens_vectors_and_a_short_text_the_same_as_ever() -> None:
    study = study_of(windows=3)
    embeddings = new_model(study, seed=0).embeddings
    table = embeddings.text_tokens.weight
    ids, mask = encode(["cough fever pain chest no", "cough"], max_tokens=4, windows=3)
    found = embeddings.token_vectors(ids, mask, 2)
    row = {token: n for n, token in enumerate(vocabulary())}
    said = [row[word] for word in ("cough", "fever", "pain", "chest", "no")]
    cough, fever, pain, chest, no = table[said]
    torch.testing.assert_close(found[0, 0], (cough + fever) / 2)
    torch.testing.assert_close(found[0, 1], (pain + chest) / 2)
    torch.testing.assert_close(found[0, 2], no)
    plain, shown = encode(["cough"], max_tokens=4)
    assert torch.equal(found[1, 0], embeddings.token_vectors(plain, shown, 1)[0, 0])
    # What is behind the mask, or not there, reaches neither the output nor a gradient.
    grown = torch.where(mask[..., None], ids, 5)
    assert torch.equal(embeddings.token_vectors(grown, mask, 2)[mask], found[mask])
    (gradient,) = torch.autograd.grad(found[mask].sum(), table)
    assert gradient.any(dim=1).nonzero().flatten().tolist() == sorted(said)


def test_the_clinical_vocabulary_makes_a_larger_table_and_keeps_words_whole() -> None:
    study = study_of(vocabulary="clinical", max_tokens=12)
    assert config_of(study).vocab_size == len(vocabulary("clinical"))
    reader = TextReader.open(study.text)
    ids, mask = reader.tokens(["Respiratory distress; cardiomegaly, SpO2 low"])
    read = [vocabulary("clinical")[each] for each in ids[mask].tolist()]
    assert read == ["respiratory", "distress", ";", "cardiomegaly", ",", "spo2", "low"]


def test_a_study_that_says_neither_keeps_its_fingerprint() -> None:
    plain, said = study_of(), study_of(vocabulary="basic", windows=1)
    assert plain.fingerprint == said.fingerprint
    assert not {"vocabulary", "windows"} & plain.model_dump()["text"].keys()
    changed = {
        study_of(**each).fingerprint for each in ({"vocabulary": "clinical"}, {"windows": 2})
    }
    assert len(changed | {plain.fingerprint}) == 3


def test_a_vocabulary_that_nothing_reads_is_refused(tmp_path: Path) -> None:
    encoder = {"kind": "frozen", "name": "enc", "sha256": "0" * 64}
    with pytest.raises(ConfigError, match="vocabulary 'clinical' is for encoder 'wordpiece'"):
        parse(TextShape, {"vocabulary": "clinical", "encoder": encoder}, "study.yaml")
    for text in ({"vocabulary": "latin"}, {"windows": 0}, {"windows": 17}):
        with pytest.raises(ConfigError, match=r"study.yaml: "):
            parse(TextShape, text, "study.yaml")
