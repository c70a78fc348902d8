"""Text by a BERT-family encoder, a real one and tiny ones: its vectors, files and refusals."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertForMaskedLM

from irene_model.errors import ConfigError
from irene_model.inputs.text import TextReader
from irene_model.inputs.text_encoder import FrozenEncoder, find_folder, sha256_of
from irene_model.study.shapes import TextShape
from tests.helpers.hospital_folder import HospitalFolder
from tests.helpers.text_encoders import (
    MINILM,
    WORDS,
    encoded,
    open_text,
    own_vectors,
    shape_of,
    text_of,
    write_tiny,
)

TEXTS = [
    "Productive cough for three days, fever up to 39.4; no known allergies.",
    "dyspnoea",
    None,
    "  ",
    "Fall from a ladder. " * 30,
    "dyspnoea",
]
HALF = {"atol": 1e-3, "rtol": 1e-3}  # float16 keeps eleven bits


# --- the real encoder ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def minilm() -> TextReader:
    return open_text(MINILM, width=384, max_tokens=20)


def test_vectors_are_the_encoders_own_of_each_single_text(minilm: TextReader) -> None:
    vectors, mask = encoded(minilm, TEXTS)
    assert vectors.shape == (6, 20, 384) and vectors.dtype == torch.float16
    assert mask.sum(dim=1).tolist()[1:4] == [7, 0, 0]
    assert mask[4].all()  # cut, and still closed
    assert minilm.tokens(TEXTS)[0][4, -1] == 102  # [SEP]
    rows = (0, 1, 4)
    expected = own_vectors(MINILM, [TEXTS[row] or "" for row in rows], 20)
    for row, own in zip(rows, expected, strict=True):
        torch.testing.assert_close(vectors[row, mask[row]].float(), own, **HALF)
    assert not vectors[~mask].any()


def test_padding_and_neighbours_change_nothing(minilm: TextReader) -> None:
    vectors, mask = encoded(minilm, TEXTS)
    for row, text in enumerate(TEXTS):
        alone, _ = encoded(minilm, [text])
        assert torch.equal(alone[0], vectors[row])
    longer = TextReader(
        shape=minilm.shape.model_copy(update={"max_tokens": 33}),
        tokenizer=minilm.tokenizer,
        encoder=minilm.encoder,
    )
    wide, wide_mask = encoded(longer, TEXTS)
    assert torch.equal(wide[:, :20], vectors) and not wide_mask[:, 20:].any()
    # The encoder itself, on all texts at once, padded, with its own attention mask.
    ids, _ = minilm.tokens(TEXTS)
    rows = [0, 1, 4]
    with torch.no_grad():
        together = minilm.encoder._model(  # type: ignore[union-attr]
            input_ids=ids[rows], attention_mask=mask[rows].long()
        ).last_hidden_state
    torch.testing.assert_close(together[mask[rows]], vectors[rows][mask[rows]].float(), **HALF)


def test_equal_texts_are_encoded_once(minilm: TextReader, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    one = FrozenEncoder._one
    monkeypatch.setattr(
        FrozenEncoder, "_one", lambda self, ids: (calls.append(len(ids)), one(self, ids))[1]
    )
    encoded(minilm, TEXTS)
    assert len(calls) == 3


# --- what a study may say, and files that are not it ----------------------------------------------


def test_a_study_says_what_reads_its_texts(tiny: Path) -> None:
    short = TextShape.model_validate({"encoder": "wordpiece"})
    assert short == TextShape() and short.encoder.kind == "wordpiece"
    frozen = shape_of(tiny)
    assert TextShape.model_validate(frozen.model_dump(mode="json")) == frozen


@pytest.mark.parametrize(
    ("encoder", "said"),
    [
        ({"kind": "frozen"}, "kind 'frozen' needs name, sha256"),
        ({"kind": "tokenizer", "name": "a", "sha256": "0" * 64}, "'tokenizer' needs vocab_size"),
        ({"kind": "wordpiece", "name": "a"}, "kind 'wordpiece' has no name"),
        ({"kind": "frozen", "name": "../a", "sha256": "0" * 64}, "name"),
        ({"kind": "frozen", "name": "a", "sha256": "abc"}, "sha256"),
        ("bert", "kind"),
    ],
)
def test_half_an_encoder_is_refused(hospital: HospitalFolder, encoder: Any, said: str) -> None:
    hospital.configure("text.encoder", encoder, "study.yaml")
    with pytest.raises(ConfigError, match=said) as caught:
        _ = hospital.study
    assert "text.encoder" in str(caught.value)


def test_the_sha256_is_that_of_the_files_one_after_the_other(tiny: Path, tmp_path: Path) -> None:
    import hashlib

    names = ("config.json", "model.safetensors", "tokenizer.json")
    joined = b"".join((tiny / name).read_bytes() for name in names)
    assert sha256_of(tiny, "frozen") == hashlib.sha256(joined).hexdigest()
    tokenizer = (tiny / "tokenizer.json").read_bytes()
    assert sha256_of(tiny, "tokenizer") == hashlib.sha256(tokenizer).hexdigest()


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_another_file_than_the_studys_is_refused(tiny: Path, name: str) -> None:
    shape = shape_of(tiny)
    content = bytearray((tiny / name).read_bytes())
    content[-2] ^= 1
    (tiny / name).write_bytes(content)
    with pytest.raises(ConfigError, match=r"text\.encoder\.sha256: the files are not the study's"):
        TextReader.open(shape, {"enc": tiny})
    (tiny / name).unlink()
    said = rf"{name}: is missing or .*; a text encoder of the kind 'frozen' is a folder with config"
    with pytest.raises(ConfigError, match=said):
        TextReader.open(shape, {"enc": tiny})


def test_the_hubs_cache_is_read_and_never_filled(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []
    monkeypatch.setattr("socket.getaddrinfo", lambda *name, **_: calls.append(name))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    encoder = shape_of(tiny).encoder.model_copy(update={"name": "someone/tiny"})
    with pytest.raises(ConfigError, match=r"'someone/tiny' is neither in `encoders` of site\.yaml"):
        find_folder(encoder, {"enc": tiny})
    commit = "0123456789012345678901234567890123456789"
    downloaded = tmp_path / "hub" / "models--someone--tiny"
    (downloaded / "refs").mkdir(parents=True)
    (downloaded / "refs" / "main").write_text(commit)
    shutil.copytree(tiny, downloaded / "snapshots" / commit)
    assert find_folder(encoder, {}) == downloaded / "snapshots" / commit
    assert not calls


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"width": 9}, "text.width: is 9, but the vectors of the encoder 'enc' are 8 wide"),
        ({"max_tokens": 33}, "text.max_tokens: is 33; the encoder 'enc' reads at most 32"),
        ({"max_tokens": 2}, "text.max_tokens: must be above 2"),
    ],
)
def test_a_shape_that_is_not_the_encoders_is_refused(
    tiny: Path, changes: dict[str, int], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        open_text(tiny, **changes)


def test_what_is_no_whole_encoder_is_refused(tiny: Path, tmp_path: Path) -> None:
    weights = load_file(tiny / "model.safetensors")
    lost = "encoder.layer.0.output.dense.weight"
    save_file(
        {name: tensor for name, tensor in weights.items() if name != lost},
        tiny / "model.safetensors",
        metadata={"format": "pt"},
    )
    with pytest.raises(ConfigError, match=rf"has no entry {lost}"):
        open_text(tiny)
    config = json.loads((tiny / "config.json").read_text())
    (tiny / "config.json").write_text(json.dumps({**config, "model_type": "gpt2"}))
    with pytest.raises(ConfigError, match="model_type is none of bert, "):
        open_text(tiny)
    (tiny / "tokenizer.json").write_text("{}")
    with pytest.raises(ConfigError, match="is no tokenizer"):
        open_text(tiny)


def test_a_model_with_another_head_is_an_encoder_too(tmp_path: Path) -> None:
    folder = write_tiny(tmp_path / "mlm", kind=BertForMaskedLM)
    vectors, mask = encoded(open_text(folder), ["cough and fever"])
    (own,) = own_vectors(folder, ["cough and fever"], 6)
    torch.testing.assert_close(vectors[0, mask[0]].float(), own, **HALF)


def test_a_table_smaller_than_the_tokenizer_is_refused(tiny: Path) -> None:
    text = text_of(tiny, "tokenizer")
    text["encoder"]["vocab_size"] = len(WORDS) - 1
    with pytest.raises(ConfigError, match=r"vocab_size: is 10; the tokenizer has 11"):
        TextReader.open(TextShape.model_validate(text), {"enc": tiny})
