"""Patches of sound as tokens: what is absent changes nothing, and every method reads them."""

import math

import numpy as np
import pytest
import torch

from irene_model.errors import ConfigError
from irene_model.explain.explanation import explain
from irene_model.inputs.tensors import drop_modalities, masks, without
from irene_model.study.settings import parse
from irene_model.study.study import Study
from irene_model.weights.groups import is_trained, modalities_of, needed_for
from irene_model.weights.model_footprint import tokens
from irene_model.weights.weights import config_of, new_model
from tests.helpers.models import clipped_sums
from tests.helpers.sites.sounds import SOUNDS, batch_of, study_with

METHODS = [
    *("irene", "irene_unidirectional", "irene_joint", "image_only", "clinical_only"),
    *("early_feature", "early_feature_pca", "early_data", "joint_feature", "late_mean"),
    *("late_stacker", "hybrid", "hierarchical", "perceiver", "git"),
]


def test_a_record_without_sound_gives_what_the_model_gave_before() -> None:
    study = study_with()
    heard, before = new_model(study, seed=1).eval(), new_model(clipped_sums.STUDY, seed=2).eval()
    shared = {n: t for n, t in heard.state_dict().items() if n in before.state_dict()}
    before.load_state_dict(shared, strict=True)
    batch = without(batch_of(5), "sounds", study)
    batch["sound_values"][:] = math.nan  # whatever is behind the mask
    plain = {name: t for name, t in batch.items() if not name.startswith("sound")}
    with torch.no_grad():
        torch.testing.assert_close(heard(**batch).logits, before(**plain).logits, atol=1e-6, rtol=0)
        moved = heard(**batch_of(5)).logits
    assert (moved - before(**plain).logits).abs().max() > 1e-3


def test_a_token_is_its_patch_and_its_three_places() -> None:
    sounds = new_model(study_with(), seed=1).embeddings.sounds
    patches = torch.randn(1, 12, 64)
    tokens, present = sounds(patches, None)
    place, band, time = 1, 0, 2
    by_hand = (
        sounds.projection(patches[0, (place * 2 + band) * 3 + time])
        + sounds.position.table[place]
        + sounds.band.table[band]
        + sounds.time.table[time]
    )
    torch.testing.assert_close(tokens[0, (place * 2 + band) * 3 + time], by_hand)
    assert present is None


@pytest.mark.parametrize("method", METHODS)
def test_every_method_reads_sounds(method: str) -> None:
    study = study_with(model={"hidden_size": 32, "num_attention_heads": 2, "method": method})
    model, batch = new_model(study, seed=1).eval(), batch_of(4)
    silent = without(batch, "sounds", study)
    other = {**batch, "sound_values": batch["sound_values"].flip(0)}
    with torch.no_grad():
        logits, nothing, moved = (model(**b).logits for b in (batch, silent, other))
    assert logits.isfinite().all()
    assert nothing.isfinite().all()
    if method == "image_only":
        torch.testing.assert_close(logits, moved)
    else:
        assert (logits - moved).abs().max() > 1e-6


def test_a_linear_probe_reads_the_mean_over_time() -> None:
    text = {
        "max_tokens": 6,
        "width": 8,
        "encoder": {"kind": "frozen", "name": "x", "sha256": "0" * 64},
    }
    study = study_with(text=text, model={"method": "linear_probe"})
    model, batch = new_model(study, seed=1), batch_of(3)
    batch["text_embeddings"] = torch.randn(3, 6, 8)
    torch.nn.init.normal_(model.sounds_head.weight)
    features = model(**batch).features
    patches, there = (
        batch["sound_values"].reshape(3, 4, 3, 64),
        batch["sound_mask"].reshape(3, 4, 3),
    )
    of_first = patches[0, 2][there[0, 2]].mean(dim=0) if there[0, 2].any() else torch.zeros(64)
    heard = features[:, -2 - 4 * 65 : -2].reshape(3, 4, 65)
    torch.testing.assert_close(heard[0, 2, :64], of_first)
    assert heard[..., 64].bool().tolist() == there.any(dim=2).tolist()


def test_a_site_without_sounds_trains_none_of_their_weights() -> None:
    study = study_with()
    assert modalities_of(study)[-1] == "sounds"
    assert "sounds" not in modalities_of(clipped_sums.STUDY)
    names = [n for n, _ in new_model(study, seed=1).named_parameters() if "sounds" in n]
    assert len(names) == 5
    for name in names:
        assert needed_for(name, "irene") == {"sounds"}
        assert not is_trained(name, ("image", "text"), "irene")
        assert is_trained(name, ("sounds",), "irene")


def test_sizes_and_modalities() -> None:
    study = study_with()
    config = config_of(study)
    assert config.sound_grid == [2, 2, 3, 64]
    assert tokens(study) == 1 + config.num_patches + config.num_clinical_tokens
    assert config.modalities == ("image", "text", "numbers", "sounds")
    assert study.modalities == ("image", "text", "labs", "demographics", "sounds")


def test_sounds_drop_out_as_a_whole() -> None:
    study = study_with(training={"modality_dropout": {"sounds": 0.5}})
    batch = batch_of(400)
    rates = study.training.modality_dropout.rates
    assert list(rates)[-1] == "sounds"
    dropped = drop_modalities(batch, rates, study, np.random.default_rng(0))["sound_mask"]
    had, has = batch["sound_mask"].any(dim=1), dropped.any(dim=1)
    assert 0.4 < float(has[had].float().mean()) < 0.6
    torch.testing.assert_close(dropped[has], batch["sound_mask"][has])


def test_a_study_without_sounds_keeps_its_fingerprint_and_its_draws() -> None:
    plain = clipped_sums.STUDY
    assert "sounds" not in plain.canonical
    assert "sounds" not in plain.training.modality_dropout.rates
    assert "sounds" not in masks(plain)
    again = Study.from_canonical(study_with().canonical)
    assert again == study_with()
    assert again.fingerprint != plain.fingerprint


def test_a_study_that_drops_sounds_without_having_any_is_refused() -> None:
    document = clipped_sums.STUDY.model_dump(mode="json")
    drop = {"modality_dropout": {"sounds": 0.1}}
    with pytest.raises(ConfigError, match="the study has no sounds"):
        parse(Study, {**document, "training": drop}, "study.yaml")
    value = {"name": "v", "unit": "1", "low": 0, "high": 1}
    panels = [{"name": "sounds", "values": [value]}]
    parse(Study, {**document, "panels": panels}, "study.yaml")
    with pytest.raises(ConfigError, match="choose another name"):
        parse(Study, {**document, "panels": panels, "sounds": SOUNDS}, "study.yaml")


def test_the_evidence_of_sounds_adds_up() -> None:
    study = study_with()
    model = new_model(study, seed=1).eval()
    batch = {name: tensor[:1] for name, tensor in batch_of(3, seed=4).items()}
    batch["sound_mask"][0, :3] = False
    batch["sound_values"][0, :3] = math.nan
    seen = explain(model, batch, label=0)
    assert seen.gap < 0.01
    heard = seen.of(seen.evidence, "sounds")
    assert heard.shape == (12,)
    assert not heard[~batch["sound_mask"][0]].any()
    assert heard.abs().sum() > 0
    assert seen.by_modality(seen.attention)["sounds"] > 0
    steady = {**batch, "sound_values": torch.ones_like(batch["sound_values"])}
    said = explain(model, steady, label=0)
    assert said.of(said.evidence, "sounds").abs().max() < 1e-6  # it is its own baseline
