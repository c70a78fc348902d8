"""IRENE as a model: its sizes, its files, its inputs, and that it learns."""

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModel

import client.private.opacus_engines  # noqa: F401  registers the samplers of ClassToken and PositionTable
from irene_model.network import PRESETS
from irene_model.network.model import IreneConfig, IreneModel
from tests.helpers.models.small_irene import inputs, masks, small_config, small_model


def test_save_and_load_is_exact(tmp_path: Path) -> None:
    model = small_model(id2label={0: "pneumonia", 1: "effusion", 2: "COPD"}, num_labels=None)
    model.save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").exists()
    for loaded in (IreneModel.from_pretrained(tmp_path), AutoModel.from_pretrained(tmp_path)):
        assert type(loaded) is IreneModel
        weights = loaded.state_dict()
        assert weights.keys() == model.state_dict().keys()
        assert all(torch.equal(weights[n], t) for n, t in model.state_dict().items())
        assert torch.equal(loaded(**inputs()).logits, model(**inputs()).logits)
        assert loaded.config.id2label == {0: "pneumonia", 1: "effusion", 2: "COPD"}


@pytest.mark.parametrize("labels", [1, 2, 8])
def test_config_round_trip(tmp_path: Path, labels: int) -> None:
    config = small_config(num_labels=labels, text_length=0)
    config.save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path)
    assert type(loaded) is IreneConfig
    assert (loaded.num_labels, loaded.text_length, loaded.num_channels) == (labels, 0, 1)
    assert {**loaded.to_dict(), "_name_or_path": ""} == config.to_dict()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hidden_size", 15),
        ("num_hidden_layers", 0),
        ("num_bidirectional_layers", 4),
        ("num_attention_heads", 0),
        ("patch_size", 3),
        ("image_size", 8.0),
        ("num_channels", 0),
        ("text_length", -1),
        ("vocab_size", -1),
        ("num_labs", True),
        ("num_labels", 0),
        ("hidden_dropout_prob", 1.0),
        ("attention_probs_dropout_prob", -0.1),
        ("layer_norm_eps", 0.0),
    ],
)
def test_impossible_sizes_are_named(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        small_config(**{field: value})


@pytest.mark.parametrize("field", ["pixel_values", "lab_values", "age", "input_ids", "text_mask"])
def test_wrong_input_shapes_are_named(field: str) -> None:
    batch = inputs() | masks()
    with pytest.raises(ValueError, match=field):
        small_model()(**{**batch, field: batch[field][..., None]})


def test_required_inputs_are_named() -> None:
    batch = inputs()
    del batch["lab_values"]
    with pytest.raises(ValueError, match="lab_values"):
        small_model()(**batch)


def test_a_study_without_text_or_labs() -> None:
    batch = inputs()
    model = small_model(text_length=0, num_labs=0)
    only = {name: batch[name] for name in ("pixel_values", "age", "sex")}
    assert torch.isfinite(model(**only).logits).all()
    assert not any("text" in name or "lab" in name for name in model.state_dict())


def test_presets() -> None:
    counts = {}
    for name, sizes in PRESETS.items():
        with torch.device("meta"):
            model = IreneModel(IreneConfig(**sizes, num_labels=8))
        counts[name] = sum(p.numel() for p in model.parameters())
    assert counts == {"tiny": 279_752, "small": 18_173_192, "base": 99_497_480}


def test_dropout_acts_in_training_only() -> None:
    model = small_model(hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.5)
    assert torch.equal(model(**inputs()).logits, model(**inputs()).logits)
    model.train()
    assert not torch.equal(model(**inputs()).logits, model(**inputs()).logits)


def test_a_fresh_model_tells_labs_apart_quickly() -> None:
    """Guards the initialisation: with positions of 0.02 this loss stays above 0.5."""
    model = small_model(num_labels=1, num_labs=12).train()
    g = torch.Generator().manual_seed(0)
    values = torch.randn(256, 12, generator=g)
    labels = (values[:, 3:4] > 0).float()
    batch = {name: t[:1].expand(256, *t.shape[1:]) for name, t in inputs().items()}
    batch["lab_values"] = values
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(40):
        optimizer.zero_grad()
        loss = model(**batch, labels=labels).loss
        loss.backward()
        optimizer.step()
    assert loss < 0.25
