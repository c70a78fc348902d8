"""One hospital, told by its own tables, by FHIR and by OMOP: a ready site and the same tensors."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from client.cli import app
from client.records.dataset import open_dataset
from client.records.tables import read_records
from client.site.site import Site
from irene_model.study.study import Study
from tests.helpers.sites.exported_hospital import (
    CODES,
    Exported,
    write_exported,
    write_fhir,
)
from tests.helpers.sites.omop_hospital import CONCEPT_OF, write_omop


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return write_exported(tmp_path_factory.mktemp("exported"))


def run(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(each) for each in arguments])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def tensors(site_file: Path, study_file: Path, ids: Any = None) -> dict[str, np.ndarray[Any, Any]]:
    """What a record becomes, in the order of record ids (by `ids`, those of the first hospital)."""
    site, study = Site.read(site_file), Study.read(study_file)
    names = [record.record_id for record in read_records(site, study)]
    dataset = open_dataset(site, study)
    order = np.argsort([names[n] if ids is None else ids[names[n]] for n in range(len(names))])
    found = {name: tensor.numpy()[order] for name, tensor in dataset.tensors.items()}
    return {**found, "pixels": np.asarray(dataset.pixels)[order]}


def same(found: dict[str, np.ndarray[Any, Any]], own: dict[str, np.ndarray[Any, Any]]) -> None:
    assert found.keys() == own.keys()
    for name, tensor in own.items():
        np.testing.assert_array_equal(found[name], tensor, err_msg=name)
    assert own["lab_mask"].any() and own["text_mask"].any() and own["image_mask"].any()
    assert not own["image_mask"].all() or not own["lab_mask"].all()


def test_fhir_is_the_hospital_itself(hospital: Exported, tmp_path: Path) -> None:
    out = tmp_path / "site"
    labels = [f"--label={name}={code[:3]}" for name, code in CODES.items()]
    study = ("--study", hospital.study_file)
    told = run(
        *("import", "fhir", write_fhir(hospital, tmp_path / "fhir"), out, *study),
        *("--images", hospital.images, "--records", "visits", *labels),
    )
    assert "not followed" in told
    assert "Nobody" not in told
    assert "Verdict: ready" in run("check", out / "site.yaml", *study)
    same(tensors(out / "site.yaml", study[1]), tensors(hospital.site_file, study[1]))
    assert {path.name for path in tmp_path.iterdir()} == {"fhir", "site"}  # nothing unfinished
    assert out.stat().st_mode & 0o77 == 0


@pytest.mark.parametrize("kind", ["csv", "parquet", "sqlite"])
def test_omop_is_the_hospital_itself(kind: str, hospital: Exported, tmp_path: Path) -> None:
    out, study = tmp_path / "site", ("--study", hospital.study_file)
    labels = [f"--label={name}={concept}" for name, concept in CONCEPT_OF.items()]
    source = write_omop(hospital, tmp_path / "omop", kind)
    run("import", "omop", source, out, *study, "--images", hospital.images, *labels)
    assert "Verdict: ready" in run("check", out / "site.yaml", *study)
    numbers = {str(n): row["encounter_id"] for n, row in enumerate(hospital.encounters, 1)}
    found = tensors(out / "site.yaml", study[1], ids=numbers)
    same(found, tensors(hospital.site_file, study[1]))


def test_the_same_files_give_the_same_tables(hospital: Exported, tmp_path: Path) -> None:
    source = write_fhir(hospital, tmp_path / "fhir")
    for out in ("one", "two"):
        given = ("--study", hospital.study_file, "--site", "north")
        run("import", "fhir", source, tmp_path / out, *given)
    for name in ("site.yaml", "records.csv", "labs.parquet"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
