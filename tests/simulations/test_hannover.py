"""The worked example on the real hospital's files, where they are at hand.

COVID-19 Image Repository, Institute for Diagnostic and Interventional Radiology, Hannover Medical
School, DOI 10.6084/m9.figshare.12275009, CC BY 3.0. The files are not part of this project.
"""

import csv
import json
import re
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from client import cli
from client.site.columns import LabelColumn, SitePanel
from client.site.limits import Limits
from client.site.site import Site
from client.site.table_files import LabTable
from irene_model.study.study import Study

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = REPOSITORY.parent / "shared" / "data" / "hannover"
EXAMPLE = REPOSITORY / "docs" / "hannover"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the Hannover files are not here")


def site_beside(folder: Path) -> Path:
    """The example's site.yaml, which names the data where it lies: that folder is not ours."""
    document = yaml.safe_load((EXAMPLE / "site.yaml").read_text(encoding="utf-8"))
    document["records"]["path"] = str(DATA / document["records"]["path"])
    image = document["columns"]["image"]
    image["pattern"] = f"{DATA}/{image['pattern']}"
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    return path


def test_the_example_fits_its_study() -> None:
    site, study = Site.read(EXAMPLE / "site.yaml"), Study.read(EXAMPLE / "study.yaml")
    site.check_against(study)
    assert set(site.labs) == set(study.lab_names)
    assert site.columns.text is None and site.columns.age is None


def test_the_page_for_hospitals_shows_a_site_that_reads(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "hospital.md").read_text(encoding="utf-8")
    whole, *parts = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    shown = [yaml.safe_load(part.replace("2f1c…", 32 * "2f")) for part in parts]
    of_key = {next(iter(part)): part for part in shown}
    (tmp_path / "site.yaml").write_text(whole, encoding="utf-8")
    assert Site.read(tmp_path / "site.yaml").labels["death"].rule == "filled"
    LabTable.model_validate(of_key["lab_table"]["lab_table"])
    for panel in of_key["panels"]["panels"].values():
        SitePanel.model_validate(panel)
    for label in of_key["labels"]["labels"].values():
        LabelColumn.model_validate(label)
    limits = Limits.model_validate(of_key["limits"]["limits"])
    assert limits.model_fields_set == set(Limits.model_fields)


@needs_data
def test_check_counts_what_the_csv_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site_file, study_file = site_beside(tmp_path), EXAMPLE / "study.yaml"
    arguments = ["check", str(site_file), "--study", str(study_file), "--json"]
    monkeypatch.setattr(sys, "argv", ["irene-client", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert not left.value.code
    report = json.loads(capsys.readouterr().out)

    with (DATA / "data.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    of_patient = Counter(row["patient_id"] for row in rows)
    assert report["records"] == len(rows) == 243
    assert report["patients"] == len(of_patient) == 71
    assert report["most_records_of_a_patient"] == max(of_patient.values()) == 22
    assert report["modalities"]["image"] == report["modalities"]["sex"] == 243
    assert report["modalities"]["text"] == report["modalities"]["age"] == 0
    assert sum(split["records"] for split in report["splits"].values()) == 243
    assert sum(split["patients"] for split in report["splits"].values()) == 71

    for name, mapped in Site.read(site_file).labs.items():
        cells = [row[mapped.column] for row in rows]
        counts = report["labs"][name]
        assert counts["missing"] == cells.count("")
        assert counts["censored_low"] == cells.count("-inf")
        assert counts["censored_high"] == cells.count("inf")
        assert counts["measured"] == len(rows) - cells.count("")
    assert report["labs"]["D-dimer"]["censored_high"] == 6
    for label, column in (("ICU", "icu_admission_offset"), ("death", "death_offset")):
        filled = sum(row[column] != "" for row in rows)
        assert report["labels"][label]["positives"] == filled
        assert report["labels"][label]["not_annotated"] == 0
    assert report["verdict"] == "ready with warnings"
    of_split = {s: report["labels"]["death"]["splits"][s] for s in ("validation", "test")}
    assert all(each["patients_with"] < 10 for each in of_split.values())
    assert [doubt["kind"] for doubt in report["doubts"]] == ["few", "few", "privacy"]
    # A patient's films resemble one another, and none is there twice.
    assert set(report["twins"].values()) == {0} and report["blank_images"] == 0
    assert report["cost"]["rounds_left"] == report["cost"]["rounds"] == 10
    assert len((EXAMPLE / "site.yaml").read_text(encoding="utf-8").splitlines()) <= 40


@needs_data
@pytest.mark.slow
def test_the_real_hospital_trains_beside_synthetic_ones(tmp_path: Path) -> None:
    from simulations.hospitals.scenario import Scenario
    from simulations.run import start_run
    from tests.helpers.federations.run_here import run_here

    joined = f"join=[{site_beside(tmp_path)}]"
    scenario = Scenario.read(EXAMPLE / "scenario.yaml", [joined, "federation.rounds=2"])
    folder = start_run(scenario, tmp_path / "run", seed=1)
    report = run_here(folder)

    for line in folder.rounds():
        outcomes = {site: entry["outcome"] for site, entry in line["sites"].items()}
        assert outcomes == dict.fromkeys(("hannover", "north", "south"), "updated")
    results = json.loads((folder.path / "results.json").read_text())
    arm = results["arms"]["federated-dp"]
    assert 0 < arm["privacy"]["hannover"]["epsilon"] <= 8
    by_label = arm["auroc"]["by_label"]
    held_out = by_label["ICU"]["n"]
    assert 5 <= held_out <= 40  # test patients of the 71; one with a dozen images counts once
    assert by_label["pneumonia"]["n"] > held_out
    assert folder.info["synthetic"] is False
    assert report.exists()
