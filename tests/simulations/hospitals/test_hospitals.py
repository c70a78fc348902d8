"""Synthetic hospitals: reproducible, and read by the real client as a real hospital's files are."""

from pathlib import Path
from statistics import median

import pytest

from client.check.quality import QualityReport, inspect
from client.records.dataset import open_dataset
from client.records.tables import read_records
from client.site.site import Site
from irene_model.errors import ConfigError
from irene_model.study.study import Study
from simulations.hospitals.hospitals import write_hospitals
from simulations.patients.diseases import LAB_PANEL
from tests.helpers.small_scenario import small_scenario

NAMES = ["north", "south", "east", "west"]
TYPICAL = {test.name: test.typical for test in LAB_PANEL}


def write(folder: Path, *overrides: str, seed: int = 0) -> dict[str, Site]:
    """Name -> site, read back from the files."""
    scenario = small_scenario(folder, *overrides)
    written = write_hospitals(scenario, folder / "hospitals", seed=seed)
    return {path.parent.name: Site.read(path) for path in written}


def study_of(site: Site) -> Study:
    return Study.read(site.folder.parent / "study.yaml")


def report_of(site: Site) -> QualityReport:
    return inspect(site, study_of(site))


def patients_of(site: Site) -> set[str]:
    return {record.patient_id for record in read_records(site, study_of(site))}


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and ".irene" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Site]:
    """Four natural sites with characters of their own, enough patients for a median."""
    return write(tmp_path_factory.mktemp("natural"), "cohort.patients=240")


def test_everything_follows_from_the_seed(tmp_path: Path) -> None:
    for name, seed in (("first", 5), ("again", 5), ("other", 6)):
        write(tmp_path / name, "cohort.patients=24", seed=seed)
    first, again, other = (
        contents(tmp_path / name / "hospitals") for name in ("first", "again", "other")
    )
    assert first == again
    tables = {name for name in first if name.endswith(("encounters.csv", "encounters.parquet"))}
    assert len(tables) == 4 and all(first[name] != other[name] for name in tables)
    images = {name for name in first if "/images/" in name}
    assert images and not images & set(other)  # encounters have new names
    assert not set(map(first.__getitem__, images)) & {
        content for name, content in other.items() if "/images/" in name
    }


def test_drawing_on_all_cores_changes_nothing(
    sites: dict[str, Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulations.hospitals.drawing._FEW", 0)
    together = write(tmp_path, "cohort.patients=240")
    for name, site in sites.items():
        assert contents(site.folder) == contents(together[name].folder)


def test_the_client_reads_every_site_without_a_doubt(sites: dict[str, Site]) -> None:
    assert list(sites) == NAMES
    patients = 0
    for site in sites.values():
        report = report_of(site)
        patients += report.patients
        # The scenario is small, and one hospital writes in the shorthand of its wards.
        assert {doubt.kind for doubt in report.doubts} <= {"few", "length", "words"}
        assert report.absent_modalities == ()
        assert all(lab.mapped and lab.measured > 0 for lab in report.labs.values())
        assert all(label.positives and label.negatives for label in report.labels.values())
        dataset = open_dataset(site, study_of(site))
        assert sum(map(len, dataset.patients.values())) == report.patients
        with_image = dataset.tensors["image_mask"].numpy()
        assert (dataset.pixels[with_image].std(axis=(1, 2)) > 5).all()
    assert patients == 240


def test_the_sites_use_all_formats(sites: dict[str, Site]) -> None:
    tables = {site.records.path.suffix for site in sites.values()}
    images = {path.suffix for site in sites.values() for path in site.folder.glob("images/*")}
    assert tables == {".csv", ".parquet"} and images == {".png", ".dcm"}
    assert {site.lab_table is None for site in sites.values()} == {True, False}
    (foreign,) = (
        site
        for site in sites.values()
        if "albumin" in site.labs and site.labs["albumin"].unit == "g/dL"
    )
    assert foreign.site == "west"


@pytest.mark.parametrize("lab", ["haemoglobin", "albumin", "arterial_po2"])
def test_units_of_every_site_become_the_studys(sites: dict[str, Site], lab: str) -> None:
    for site in sites.values():
        records = read_records(site, study_of(site))
        values = [record.labs[lab] for record in records if lab in record.labs]
        assert median(values) == pytest.approx(TYPICAL[lab], rel=0.15), site.site
    if lab == "haemoglobin":
        assert 12 < median(values) < 17


def test_no_patient_is_at_two_sites(sites: dict[str, Site]) -> None:
    everyone = [patients_of(site) for site in sites.values()]
    assert len(set.union(*everyone)) == sum(map(len, everyone)) == 240


def test_a_site_lacks_what_it_is_told_to(tmp_path: Path) -> None:
    sites = write(
        tmp_path,
        "cohort.sites=[{name: whole, share: 2}, {name: blind, lacks: [image, labs]},"
        " {name: mute, lacks: [text, demographics], lacks_labels: [pneumonia], missing: 0.6,"
        " tables: parquet, images: png}]",
    )
    whole, blind, mute = (report_of(site) for site in sites.values())
    assert whole.absent_modalities == ()
    assert blind.absent_modalities == ("image", "labs")
    assert mute.absent_modalities == ("text", "age", "sex")
    assert mute.labels["pneumonia"].not_annotated == mute.records
    assert not mute.labels["pneumonia"].mapped and mute.labels["pleural_effusion"].mapped
    gaps = sum(lab.missing for lab in mute.labs.values())
    assert gaps / (mute.records * len(mute.labs)) == pytest.approx(0.6, abs=0.15)
    assert sites["mute"].records.path.suffix == ".parquet"
    assert {path.suffix for path in sites["mute"].folder.glob("images/*")} == {".png"}
    assert whole.patients > 1.5 * blind.patients


def test_a_study_may_call_a_test_as_it_likes_and_ask_for_one_that_nobody_does(
    tmp_path: Path,
) -> None:
    sites = write(
        tmp_path,
        "cohort.patients=60",
        "labs=[{name: Hb, loinc: 718-7, unit: g/L, low: 120, high: 170},"
        " {name: crp, loinc: 9999-9, unit: mg/L, low: 0, high: 5}]",
    )
    for site in sites.values():
        values = [r.labs["Hb"] for r in read_records(site, study_of(site)) if "Hb" in r.labs]
        assert median(values) == pytest.approx(10 * TYPICAL["haemoglobin"], rel=0.15)
        assert report_of(site).labs["crp"].measured == 0


def test_what_the_cohort_lacks_no_site_has(tmp_path: Path) -> None:
    sites = write(tmp_path, "cohort.patients=40", "cohort.lacks=[text, labs]")
    for site in sites.values():
        assert report_of(site).absent_modalities == ("text", "labs")


@pytest.mark.parametrize("split", ["iid", "label_skew", "quantity_skew"])
def test_the_other_splits_differ_in_nothing_but_the_split(tmp_path: Path, split: str) -> None:
    sites = write(tmp_path, "cohort.patients=100", f"cohort.split={split}", "cohort.alpha=1")
    assert {(s.records.path.suffix, s.lab_table is None) for s in sites.values()} == {
        (".csv", True)
    }
    members = [patients_of(site) for site in sites.values()]
    assert len(set.union(*members)) == sum(map(len, members)) == 100
    sizes = sorted(map(len, members))
    assert (sizes == [25, 25, 25, 25]) == (split == "iid")


def test_the_cohort_is_the_same_however_it_is_split(tmp_path: Path) -> None:
    everyone = []
    for split in ("iid", "quantity_skew"):
        sites = write(tmp_path / split, "cohort.patients=30", f"cohort.split={split}")
        everyone.append(set.union(*map(patients_of, sites.values())))
    assert everyone[0] == everyone[1]


def test_the_budget_of_a_site_is_the_studys(tmp_path: Path) -> None:
    private = write(tmp_path / "private", "cohort.patients=16")["north"]
    assert private.budget != "none" and (private.budget.epsilon, private.budget.delta) == (8, 1e-3)
    free = write(tmp_path / "free", "cohort.patients=16", "privacy={noise_multiplier: 0}")["north"]
    assert free.budget == "none"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("cohort.sites=[{name: a, lacks_labels: [gout]}]", "has no label 'gout'"),
        ("labels=[gout]", "synthetic hospitals know none of them; they know copd"),
    ],
)
def test_unknown_names_are_refused_before_anything_is_written(
    tmp_path: Path, override: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        write(tmp_path, override)
    assert not (tmp_path / "hospitals").exists()


def test_a_split_that_leaves_a_site_empty_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    sites = ", ".join(f"{{name: s{number}}}" for number in range(8))
    with pytest.raises(ConfigError, match="without patients; take a larger alpha or seed"):
        write(
            tmp_path,
            "cohort.patients=8",
            f"cohort.sites=[{sites}]",
            "cohort.split=label_skew",
            "cohort.alpha=0.01",
        )
    assert not (tmp_path / "hospitals").exists()


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "hospitals").mkdir()
    (tmp_path / "hospitals" / "mine.txt").write_text("keep me")
    with pytest.raises(ConfigError, match="is not empty"):
        write(tmp_path)
    assert contents(tmp_path / "hospitals") == {"mine.txt": b"keep me"}
