"""The authors' published model: its outputs, its entries by name, and back again."""

import json
import logging
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import client.private.opacus_engines  # noqa: F401  registers the samplers of ClassToken and PositionTable
from irene_model.errors import CheckpointError
from irene_model.network.model import IreneModel
from tests.helpers.models.small_irene import small_model

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.fixture(scope="module")
def authors_weights() -> dict[str, Tensor]:
    return load_file(GOLDEN / "weights.safetensors")


@pytest.fixture(scope="module")
def authors_io() -> dict[str, Tensor]:
    return load_file(GOLDEN / "io.safetensors")


def from_golden(weights: dict[str, Tensor]) -> IreneModel:
    sizes = json.loads((GOLDEN / "config.json").read_text())
    return IreneModel.from_authors(
        weights,
        image_size=sizes["image_size"],
        patch_size=sizes["patch_size"],
        num_attention_heads=sizes["heads"],
    )


def authors_inputs(io: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        "pixel_values": io["image"],
        "text_embeddings": io["text"],
        "lab_values": io["lab"].squeeze(-1),
        "age": io["age"].flatten(),
        "sex": io["sex"].flatten(),
    }


@pytest.mark.parametrize("output_attentions", [False, True])
def test_authors_outputs_are_reproduced(
    authors_weights: dict[str, Tensor], authors_io: dict[str, Tensor], output_attentions: bool
) -> None:
    model = from_golden(authors_weights)
    out = model(**authors_inputs(authors_io), output_attentions=output_attentions)
    torch.testing.assert_close(out.logits, authors_io["logits"], atol=1e-5, rtol=0)
    torch.testing.assert_close(out.features, authors_io["features"], atol=1e-5, rtol=0)
    if output_attentions:
        first, last = out.attentions[0].image_to_image, out.attentions[-1]
        golden_first = authors_io["attention_first_block_image"]
        torch.testing.assert_close(first, golden_first, atol=1e-5, rtol=0)
        torch.testing.assert_close(last, authors_io["attention_last_block"], atol=1e-5, rtol=0)
    else:
        assert out.attentions is None


def test_authors_weights_round_trip_without_out_text(
    authors_weights: dict[str, Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    prefixed = {f"module.{name}": tensor for name, tensor in authors_weights.items()}
    with caplog.at_level(logging.INFO, logger="irene_model.network.checkpoints"):
        back = from_golden(prefixed).to_authors()
    unused = {name for name in authors_weights if "out_text" in name}
    assert len(unused) == 4
    assert all(name in caplog.text for name in unused)
    assert back.keys() == authors_weights.keys() - unused
    assert all(torch.equal(back[name], authors_weights[name]) for name in back)


@pytest.mark.parametrize(
    "key",
    [
        "head.weight",
        "transformer.embeddings.pe_lab",
        "transformer.encoder.layer.1.ffn_text.fc2.bias",
        "transformer.encoder.layer.0.ffn.fc1.weight",
    ],
)
def test_missing_entry_is_named(authors_weights: dict[str, Tensor], key: str) -> None:
    weights = {name: tensor for name, tensor in authors_weights.items() if name != key}
    with pytest.raises(CheckpointError, match=key):
        from_golden(weights)


def test_unknown_entry_is_named(authors_weights: dict[str, Tensor]) -> None:
    with pytest.raises(CheckpointError, match=r"transformer\.novelty"):
        from_golden({**authors_weights, "transformer.novelty": torch.zeros(1)})


@pytest.mark.parametrize(
    "key", ["transformer.embeddings.pe_age", "transformer.encoder.layer.3.attn.out.weight"]
)
def test_wrong_shape_is_named(authors_weights: dict[str, Tensor], key: str) -> None:
    wrong = authors_weights[key][..., :-1]
    with pytest.raises(CheckpointError, match=key):
        from_golden({**authors_weights, key: wrong})


def test_wrong_kinds_of_entry_are_named(authors_weights: dict[str, Tensor]) -> None:
    with pytest.raises(CheckpointError, match=r"head\.bias is a list"):
        from_golden({**authors_weights, "head.bias": [0.0]})  # type: ignore[dict-item]
    with pytest.raises(CheckpointError, match=r"head\.weight has shape"):
        from_golden({**authors_weights, "head.weight": torch.zeros(3)})
    with pytest.raises(CheckpointError, match="not the authors'"):
        from_golden({"bert.pooler.bias": torch.zeros(3)})


def test_model_that_the_authors_code_cannot_hold_is_refused() -> None:
    with pytest.raises(CheckpointError, match="vocab_size 11"):
        small_model().to_authors()
