"""Panels from a site's records to tensors, tokens, gradients and an explanation."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from client.private.clipping import Clip, trained_parameters
from client.private.contributions import TokenFactors
from client.private.fused import FusedSum
from client.private.opacus_engines import HookSum
from client.records.tables import read_records
from client.site.mapped import mapped_modalities
from irene_model.errors import DataError
from irene_model.explain.explanation import explain
from irene_model.explain.reading import read
from irene_model.inputs.processor import Case, IreneProcessor
from irene_model.inputs.tensors import drop_modalities, encode_records, scale_values, without
from irene_model.network.tokens import PanelTokens
from irene_model.weights.groups import is_trained, modalities_of
from irene_model.weights.weights import config_of, new_model, trained_names
from tests.helpers.hospital_folder import HospitalFolder
from tests.helpers.models.clipped_sums import clipped_sum_by_loop
from tests.helpers.sites.panels import batch_of, study_with


@given(st.floats(-1e6, 1e6), st.floats(-100, 100), st.floats(0.1, 100))
def test_scaling_is_monotone_and_symmetric(value: float, low: float, width: float) -> None:
    middle = low + width / 2
    here, above = scale_values([value, value + 1], low, low + width)
    assert here <= above
    mirrored = float(scale_values(2 * middle - value, low, low + width))
    assert mirrored == pytest.approx(-here, abs=1e-6)


def test_tokens_read_their_own_numbers_by_their_own_weights() -> None:
    torch.manual_seed(0)
    panel = PanelTokens(7, 3, 5)
    for parameter in panel.parameters():
        torch.nn.init.normal_(parameter)
    values = torch.randn(2, 7)
    present = torch.tensor([[1, 1, 0, 0, 0, 0, 1], [1] * 7]).bool()
    tokens, there = panel(values, present)
    assert there is not None
    assert there.tolist() == [[True, False, True], [True, True, True]]
    weight, table = panel.groups.weight, panel.positions.table
    by_hand = weight[2, 0] * values[0, 6] + weight[2, 3] + table[2]  # its value, that it is there
    torch.testing.assert_close(tokens[0, 2], by_hand)
    without_mask, everything = panel(values, None)
    assert everything is None
    torch.testing.assert_close(without_mask[1], tokens[1])


def test_values_behind_the_mask_change_nothing() -> None:
    study = study_with()
    model, batch = new_model(study, seed=0).eval(), batch_of(study)
    other = dict(batch)
    noise = torch.where(torch.rand(6, 9) < 0.5, math.nan, 1e3)
    other["panel_values"] = torch.where(batch["panel_mask"], batch["panel_values"], noise)
    for records in (batch, other):
        del records["labels"], records["label_mask"]
    with torch.no_grad():
        assert torch.equal(model(**batch).logits, model(**other).logits)
        other["panel_values"] = batch["panel_values"] + batch["panel_mask"]
        assert not torch.equal(model(**batch).logits, model(**other).logits)


@pytest.mark.parametrize("engine", [FusedSum, HookSum])
def test_clipped_sums_equal_a_loop_over_patients(engine: Any) -> None:
    study = study_with()
    model, batch = new_model(study, seed=0), batch_of(study)
    expected = clipped_sum_by_loop(model, batch, 0.1)
    parameters = trained_parameters(model)
    sums = {p: torch.zeros_like(p) for p in parameters}
    summed = engine(model, clip_norm=0.1)
    summed.add(batch, sums)
    summed.close()
    for found, wanted in zip(sums.values(), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 5), st.integers(0, 2**16))
def test_factors_of_a_token_are_its_outer_product(T: int, d: int, p: int, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    inputs, backprops = torch.randn(3, T, d, generator=g), torch.randn(3, T, p, generator=g)
    whole = torch.einsum("bti,btp->btip", inputs, backprops)
    factors = TokenFactors(inputs, backprops)
    torch.testing.assert_close(
        factors.squares(), whole.double().square().sum(dim=(1, 2, 3)), rtol=1e-6, atol=0
    )
    total = torch.zeros(T, d, p)
    weights = torch.rand(3, generator=g)
    factors.add_to(total, Clip(weights, None))
    torch.testing.assert_close(total, torch.einsum("b,btip->tip", weights, whole))


@pytest.mark.parametrize("method", ["early_data", "late_stacker", "image_only", "perceiver"])
def test_every_method_takes_them(method: str) -> None:
    study = study_with(model={"preset": "tiny", "method": method})
    batch = batch_of(study)
    assert bool(new_model(study, seed=0)(**batch).losses.isfinite().all())
    assert config_of(study).panels == (
        {} if method == "image_only" else {"vitals": [2, 1], "genes": [7, 3]}
    )


def test_a_panel_drops_as_a_whole_and_alone() -> None:
    study = study_with()
    batch = batch_of(study, records=400)
    dropped = drop_modalities(batch, {"genes": 0.5}, study, np.random.default_rng(0))
    assert torch.equal(dropped["panel_mask"][:, :2], batch["panel_mask"][:, :2])
    had = batch["panel_mask"][:, 2:].any(dim=1)
    kept = (dropped["panel_mask"][:, 2:] == batch["panel_mask"][:, 2:]).all(dim=1)
    assert bool(kept[had].all())  # it was all that the rates know of these records
    both = drop_modalities(batch, {"genes": 0.5, "vitals": 0.0}, study, np.random.default_rng(0))
    gone = had & ~both["panel_mask"][:, 2:].any(dim=1)
    assert 0.3 < float(gone.float().mean()) < 0.6
    assert not without(batch, "genes", study)["panel_mask"][:, 2:].any()


def test_the_processor_reads_them_by_name(tmp_path: Path) -> None:
    study = study_with()
    IreneProcessor(study).save_pretrained(tmp_path)
    processor = IreneProcessor.from_pretrained(tmp_path)
    batch = processor([Case(panels={"genes": {"G6": 2.0}})])
    assert float(batch["panel_values"][0, 8]) == pytest.approx(math.log(2))
    assert batch["panel_mask"][0].tolist() == [False] * 8 + [True]
    with pytest.raises(DataError, match=r"panels\.genes: the study has no 'G66'; it has G6"):
        processor([Case(panels={"genes": {"G66": 2.0}})])
    with pytest.raises(DataError, match="panels: the study has no 'gene'; it has vitals, genes"):
        processor([Case(panels={"gene": {}})])


def test_an_explanation_adds_up_and_names_them(with_panels: HospitalFolder) -> None:
    study = with_panels.study
    (record, *_) = read_records(with_panels.site, study)
    batch = encode_records([record], study)
    batch["pixel_values"] = torch.randn(1, 1, 16, 16)
    model = new_model(study, seed=0).eval()
    explanation = explain(model, batch)  # type: ignore[arg-type]  # IRENE is the study's method
    assert explanation.gap < 0.02
    assert set(explanation.by_modality(explanation.attention)) >= {"vitals", "genes"}
    reading = read(explanation, record, study)
    assert [item.name for item in reading.panels["vitals"]] == ["heart_rate"]
    assert [item.name for item in reading.panels["genes"]] == ["genes G0 to G2", "genes G3 to G5"]
    assert reading.panels["genes"][1].shown == "3 values"
    assert sum(explanation.by_modality(explanation.evidence).values()) == pytest.approx(
        explanation.logit - explanation.baseline_logit, abs=0.02
    )


def test_a_site_without_a_panel_does_not_train_it(with_panels: HospitalFolder) -> None:
    study = with_panels.study
    names = trained_names(new_model(study, seed=0))
    of_genes = {name for name in names if name.startswith("embeddings.panels.genes.")}
    assert len(of_genes) == 2
    with_panels.configure("panels.genes", None)
    mapped = mapped_modalities(with_panels.site, study)
    assert "panel:vitals" in mapped and "panel:genes" not in mapped
    assert {name for name in names if not is_trained(name, mapped, "irene")} == of_genes
    assert set(modalities_of(study)) >= set(mapped)
