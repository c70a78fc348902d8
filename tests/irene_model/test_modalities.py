"""Every consumer agrees with the list of modalities: none is enumerated beside it and forgotten."""

import dataclasses
import inspect
from pathlib import Path

import numpy as np
import pytest
import torch

from client.check.counts import count_modalities
from client.check.quality import inspect as check
from client.look import look
from client.records.dataset import open_dataset
from client.site.mapped import mapped_modalities
from irene_model.explain.explanation import explain
from irene_model.explain.layout import TokenLayout
from irene_model.inputs.tensors import drop_modalities, masks, without
from irene_model.modalities import ALWAYS, EVERY, FURTHER, Part
from irene_model.network.embeddings import IreneEmbeddings
from irene_model.study.recipe import ModalityDropout
from irene_model.study.records import Record
from irene_model.study.study import Study
from irene_model.weights.groups import modalities_of, needed_for
from irene_model.weights.model_footprint import tokens
from irene_model.weights.weights import new_model
from simulations.audit.canaries import make_canaries
from tests.helpers.hospital_folder import HospitalFolder
from tests.helpers.sites.panels import PANELS, SIZES, batch_of
from tests.helpers.sites.sounds import SOUNDS, study_with, with_recordings

NOTHING = Record(patient_id="p", record_id="r", split="train", labs={}, labels={})
HELD = {
    "image": {"image_path": Path("a.png")},
    "text": {"text": "cough"},
    "labs": {"labs": {"CRP": 1.0}},
    "age": {"age_years": 0.0},
    "sex": {"sex": "male"},
    "panel:vitals": {"panels": {"vitals": np.array([np.nan, 0.0])}},
    "panel:genes": {"panels": {"genes": np.ones(7)}},
    "sounds": {"sound_paths": {"left": Path("a.wav")}},
}


@pytest.fixture(scope="module")
def study() -> Study:
    """One that asks for everything that there is, and hides it."""
    drop = dict.fromkeys((each.name for each in (*ALWAYS, *FURTHER)), 0.5)
    panels = {panel["name"]: 0.5 for panel in PANELS}
    training = {"modality_dropout": {**drop, "panels": panels}}
    return study_with(panels=PANELS, model=SIZES, training=training)


@pytest.fixture(scope="module")
def batch(study: Study) -> dict[str, torch.Tensor]:
    grid = study.sounds
    assert grid is not None
    g = torch.Generator().manual_seed(1)
    made = batch_of(study, records=60) | {
        "sound_values": torch.randn(60, grid.tokens, grid.width, generator=g),
        "sound_mask": torch.rand(60, grid.tokens, generator=g) < 0.6,
    }
    for each in study.reads:  # the first record has everything
        made[each.mask][0] = True
    return made


def test_an_entry_names_what_there_is(study: Study) -> None:
    model, taken = new_model(study, seed=0), inspect.signature(IreneEmbeddings.forward).parameters
    fields = {each.name for each in dataclasses.fields(Record)}
    modules = {name for name, _ in model.embeddings.named_children()}
    frozen = {"image", "class_token", "text_tokens", "patches"}  # in some studies one, or the other
    for each in EVERY:
        assert each.name in Study.model_fields
        assert each.name in ModalityDropout.model_fields
        assert {each.mask, *each.inputs} <= taken.keys()
        assert all(part.field in fields for part in each.parts)
        assert {name for part in each.parts for name in part.weights} - frozen <= modules
    for name, _ in model.named_parameters():
        if name.startswith("embeddings."):
            assert needed_for(name, "irene") <= set(modalities_of(study))
            assert len(needed_for(name, "irene")) == 1, f"{name}: of which modality is it?"


def test_all_have_the_same_modalities(study: Study, batch: dict[str, torch.Tensor]) -> None:
    names = list(study.modalities)
    assert names == ["image", "text", "labs", "demographics", "vitals", "genes", "sounds"]
    assert list(masks(study)) == list(study.training.modality_dropout.rates) == names
    parts = [part for each in study.reads for part in each.parts]
    assert list(modalities_of(study)) == [part.name for part in parts] == list(HELD)
    shown = [part.key or part.name for part in parts]
    assert sorted(count_modalities([NOTHING], study)) == sorted(shown)
    model = new_model(study, seed=0).eval()
    layout = TokenLayout.of(model.config)
    assert list(layout.parts) == [group for each in study.reads for group in each.tokens]
    assert layout.clinical.stop == tokens(study) == layout.presence(batch).shape[1]
    seen = explain(model, {name: tensor[:1] for name, tensor in batch.items()}, label=0)
    assert list(seen.by_modality(seen.evidence)) == list(seen.by_modality(seen.attention)) == names
    assert seen.present.all()
    assert all(seen.by_modality(seen.attention).values())
    assert all(seen.by_modality(seen.evidence).values())
    assert seen.gap < 0.01


@pytest.mark.parametrize("index", range(7))
def test_without_one_its_tokens_are_absent_and_no_other(
    study: Study, batch: dict[str, torch.Tensor], index: int
) -> None:
    each = study.reads[index]
    layout = TokenLayout.of(new_model(study, seed=0).config)
    before, after = (layout.presence(b) for b in (batch, without(batch, each.name, study)))
    own = torch.zeros(before.shape[1], dtype=torch.bool)
    for group in each.tokens:
        own[layout.parts[group]] = True
    assert not after[:, own].any()
    assert torch.equal(after[:, ~own], before[:, ~own])
    rates = study.training.modality_dropout.rates
    hidden = layout.presence(drop_modalities(batch, rates, study, np.random.default_rng(0)))
    had, has = before[:, own].any(dim=1), hidden[:, own].any(dim=1)
    assert 0.2 < float(has[had].float().mean()) < 0.8


@pytest.mark.parametrize("name", HELD)
def test_a_record_has_what_it_holds(study: Study, name: str) -> None:
    def has(record: Record) -> list[str]:
        parts: list[Part] = [part for each in study.reads for part in each.parts]
        return [part.name for part in parts if record.has(part)]

    assert has(NOTHING) == []
    assert has(dataclasses.replace(NOTHING, **HELD[name])) == [name]  # type: ignore[arg-type]
    empty = dataclasses.replace(NOTHING, panels={"vitals": np.full(2, np.nan)}, text="")
    assert has(empty) == []


def test_a_site_with_everything(hospital: HospitalFolder) -> None:
    """Its files, its check, a look at a record and its canaries have what the study reads."""
    heard = with_recordings(hospital)
    rows = heard.rows()
    for number, row in enumerate(rows):
        row["heart_rate"] = str(70 + number)
        row["temperature"] = "37"
    heard.write_rows(rows)
    heard.configure("panels", PANELS[:1], "study.yaml")
    heard.configure("panels", {"vitals": {}})
    site, study = heard.site, heard.study
    assert study.sounds is not None and study.model_dump(mode="json")["sounds"]["mels"] == 8
    assert mapped_modalities(site, study) == modalities_of(study)
    counted = check(site, study).modalities
    assert all(counted[part.key or part.name] for each in study.reads for part in each.parts)
    dataset = open_dataset(site, study)
    assert list(dataset.patches) == [each.patches for each, _ in study.further]
    held, made = dataset.batch(np.arange(2)), make_canaries(dataset, 2, np.random.default_rng(0))
    for each in study.reads:
        assert made[each.mask].all() and held[each.mask].shape == made[each.mask].shape
        for name in set(each.inputs) & held.keys():
            assert held[name].shape == made[name].shape
    new_model(study, seed=1).save_pretrained(heard.folder / "model")
    told = look(site, study, heard.folder / "model", rows[0]["record_id"], None).reading.as_json()
    assert list(told["attention"]) == list(told["evidence"]) == list(study.modalities)
    assert SOUNDS["positions"][0] in told["sounds"] and told["panels"]["vitals"]
