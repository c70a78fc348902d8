"""Further panels of numbers: declared in a study, they work with no code change."""

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from client.check.quality import inspect
from client.private.clipping import Clip, trained_parameters
from client.private.contributions import TokenFactors
from client.private.fused import FusedSum
from client.private.opacus_engines import HookSum
from client.records.dataset import open_dataset
from client.records.tables import read_records
from client.site.mapped import mapped_modalities
from irene_model.errors import ConfigError, DataError, UserError
from irene_model.explain.explanation import explain
from irene_model.explain.reading import read
from irene_model.inputs.processor import Case, IreneProcessor
from irene_model.inputs.tensors import Batch, drop_modalities, encode_records, scale_values, without
from irene_model.network.embeddings import PanelTokens
from irene_model.study.study import Study
from irene_model.weights.groups import is_trained, modalities_of
from irene_model.weights.weights import config_of, new_model, trained_names
from tests.client.private.test_dp import clipped_sum_by_loop
from tests.helpers.hospital_folder import STUDY, HospitalFolder

GENES = [f"G{n}" for n in range(7)]
PANELS: list[dict[str, Any]] = [
    {
        "name": "vitals",
        "values": [
            {"name": "heart_rate", "unit": "/min", "low": 60, "high": 100},
            {"name": "temperature", "unit": "degC", "low": 36, "high": 37.5},
        ],
    },
    {"name": "genes", "unit": "1", "low": -2, "high": 2, "per_token": 3, "values": GENES},
]
SIZES = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24}


def study_with(panels: Any = PANELS, **changes: Any) -> Study:
    return Study.model_validate({**STUDY, "panels": panels, "model": SIZES, **changes})


@pytest.fixture
def with_panels(hospital: HospitalFolder) -> HospitalFolder:
    """Vitals in the records table, genes in a table of their own that lacks some records."""
    hospital.configure("panels", PANELS, "study.yaml")
    hospital.configure("model", SIZES, "study.yaml")
    rows = hospital.rows()
    for number, row in enumerate(rows):
        row["hr"], row["temp"] = str(70 + number), "" if number % 3 == 0 else f"{97 + number / 10}"
    hospital.write_rows(rows)
    genes = [
        {"id": row["record_id"], **{g: f"{n / 7 - 1:.3f}" for n, g in enumerate(GENES[:-1])}}
        for row in rows[::2]
    ]
    hospital.write_rows(genes, "genes.csv")
    vitals = {
        "heart_rate": {"column": "hr", "unit": "/min"},
        "temperature": {"column": "temp", "unit": "degF"},
    }
    table = {"path": "genes.csv", "on": "id"}
    hospital.configure(
        "panels", {"vitals": {"columns": vitals}, "genes": {"table": table, "lacks": ["G6"]}}
    )
    return hospital


def batch_of(study: Study, records: int = 6, seed: int = 0) -> Batch:
    g = torch.Generator().manual_seed(seed)
    L, K, T = len(study.labs), len(study.labels), study.text.max_tokens
    P = sum(len(panel.values) for panel in study.panels)

    def some(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=g) < 0.6

    return {
        "pixel_values": torch.randn(records, 1, 16, 16, generator=g),
        "image_mask": some(records),
        "input_ids": torch.randint(0, 400, (records, T), generator=g),
        "text_mask": some(records, T),
        "lab_values": torch.randn(records, L, generator=g),
        "lab_mask": some(records, L),
        "panel_values": torch.randn(records, P, generator=g),
        "panel_mask": some(records, P),
        "age": torch.rand(records, generator=g),
        "sex": some(records).float(),
        "demographics_mask": some(records, 2),
        "labels": some(records, K).float(),
        "label_mask": some(records, K),
    }


# --- the study -----------------------------------------------------------------------------------


def test_what_all_values_share_is_written_once_and_read_back() -> None:
    study = study_with()
    assert study.panels[1].values[6].high == 2
    assert '"values":["G0","G1"' in study.canonical
    assert Study.from_canonical(study.canonical) == study
    assert [panel.tokens for panel in study.panels] == [2, 3]


def test_thousands_of_names_come_from_a_file(hospital: HospitalFolder) -> None:
    genes = {"name": "genes", "unit": "1", "low": -2, "high": 2, "values_file": "genes.txt"}
    hospital.configure("panels", [genes], "study.yaml")
    (hospital.folder / "genes.txt").write_text("TP53\nEGFR\n\n", encoding="utf-8")
    assert hospital.study.panels[0].names == ("TP53", "EGFR")
    (hospital.folder / "genes.txt").unlink()
    with pytest.raises(ConfigError, match=r"panels\.0\.values_file: .*can't be read"):
        _ = hospital.study


@pytest.mark.parametrize(
    ("panels", "said"),
    [
        ([{**PANELS[1], "values": ["A", "A"]}], "value named twice: A"),
        ([{**PANELS[1], "name": "labs"}], "is a modality of every study"),
        ([PANELS[1], PANELS[1]], "panel named twice: genes"),
        ([{**PANELS[1], "high": -3}], "high must be above low"),
        ([{**PANELS[1], "per_token": 0}], "greater than or equal to 1"),
    ],
)
def test_impossible_panels_are_refused(panels: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        study_with(panels)


def test_dropout_of_an_unknown_panel_is_refused() -> None:
    with pytest.raises(ValueError, match="no panel 'gens'; it has vitals, genes"):
        study_with(training={"modality_dropout": {"panels": {"gens": 0.1}}})


# --- the hospital's files -------------------------------------------------------------------------


def test_values_are_read_in_the_studys_order_and_units(with_panels: HospitalFolder) -> None:
    records = read_records(with_panels.site, with_panels.study)
    np.testing.assert_allclose(records[1].panels["vitals"], [71, (97.1 - 32) / 1.8])
    assert math.isnan(records[0].panels["vitals"][1])
    np.testing.assert_allclose(records[0].panels["genes"][:6], np.arange(6) / 7 - 1, atol=1e-3)
    assert math.isnan(records[0].panels["genes"][6])  # listed in `lacks`
    assert np.isnan(records[1].panels["genes"]).all()  # no row


def test_the_data_set_holds_them_scaled(with_panels: HospitalFolder) -> None:
    dataset = open_dataset(with_panels.site, with_panels.study)
    values, mask = dataset.tensors["panel_values"], dataset.tensors["panel_mask"]
    assert values.shape == mask.shape == (20, 9)
    assert float(values[10, 0]) == pytest.approx(0.0)  # 80, the middle of the interval
    assert mask[0].tolist() == [True, False, *[True] * 6, False]
    assert not mask[1, 2:].any()
    assert (values[~mask] == 0).all()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("panels.genes.lacks", [], r"genes\.csv: no column for G6; map them in panels\.genes"),
        ("panels.genes.lacks", ["G9"], r"panels\.genes\.lacks\.G9: the study .* has no such name"),
        ("panels.moods", {}, r"panels\.moods: the study 'test study' has no such name; it has vi"),
        ("panels.genes.unit", "mg", r"panels\.genes\.unit: 'mg' can't become the study's '1'"),
        ("panels.genes.table.on", "ID", r"genes\.csv: no column 'ID', named by panels\.genes"),
    ],
)
def test_a_wrong_mapping_is_named(
    with_panels: HospitalFolder, key: str, value: Any, said: str
) -> None:
    with_panels.configure(key, value)
    with pytest.raises(UserError, match=said):
        read_records(with_panels.site, with_panels.study)


@pytest.mark.parametrize(
    ("row", "column", "cell", "said"),
    [
        (3, "G2", "much", r"genes\.csv line 5, column 'G2': is text, expected a number"),
        (3, "id", "R999", r"genes\.csv line 5, column 'id': names no record"),
        (3, "id", "R000", r"genes\.csv line 5, column 'id': repeats an earlier row"),
    ],
)
def test_a_wrong_cell_is_named(
    with_panels: HospitalFolder, row: int, column: str, cell: str, said: str
) -> None:
    with_panels.set_cell(row, column, cell, "genes.csv")
    with pytest.raises(DataError, match=said):
        read_records(with_panels.site, with_panels.study)


def test_the_report_counts_them_and_doubts_a_wrong_unit(with_panels: HospitalFolder) -> None:
    with_panels.configure("panels.vitals.columns.heart_rate.unit", "1/s")
    report = inspect(with_panels.site, with_panels.study)
    genes = report.panels["genes"]
    assert (genes.values, genes.of, genes.records, genes.filled) == (6, 7, 10, 1.0)
    assert report.modalities["genes"] == 10
    assert any("vitals: heart_rate: half of the values lie far" in w for w in report.warnings)
    with_panels.configure("panels", None)
    bare = inspect(with_panels.site, with_panels.study)
    assert bare.panels["genes"].values == 0
    assert "genes" in bare.absent_modalities


# --- tensors and model ---------------------------------------------------------------------------


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


def test_a_csv_of_thousands_of_columns_is_read(with_panels: HospitalFolder) -> None:
    names = [f"N{n}" for n in range(3000)]
    wide = {"name": "wide", "unit": "1", "low": 0, "high": 1, "per_token": 64, "values": names}
    with_panels.configure("panels", [wide], "study.yaml")
    with_panels.configure("panels", {"wide": {"table": {"path": "wide.csv", "on": "id"}}})
    with (with_panels.folder / "wide.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", *names])
        for row in with_panels.rows():
            writer.writerow([row["record_id"], *(f"{n % 10 / 10}" for n in range(3000))])
    study = with_panels.study
    assert study.panels[0].tokens == 47
    dataset = open_dataset(with_panels.site, study)
    assert dataset.tensors["panel_values"].shape == (20, 3000)
    assert bool(new_model(study, seed=0)(**dataset.batch(np.arange(4))).losses.isfinite().all())


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
