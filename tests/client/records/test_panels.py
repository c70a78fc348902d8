"""Further panels of numbers: declared in a study, they work with no code change."""

import csv
import math
from typing import Any

import numpy as np
import pytest

from client.check.quality import inspect
from client.records.dataset import open_dataset
from client.records.tables import read_records
from irene_model.errors import ConfigError, DataError, UserError
from irene_model.study.study import Study
from irene_model.weights.weights import new_model
from tests.helpers.hospital_folder import HospitalFolder
from tests.helpers.sites.panels import PANELS, study_with

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
        ([{**PANELS[1], "name": "labs"}], "is a modality or a part of one"),
        ([{**PANELS[1], "name": "age"}], "is a modality or a part of one"),
        ([{**PANELS[1], "name": "patches"}], "is a modality or a part of one"),
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
