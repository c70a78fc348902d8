"""A site's tensors and their cache, and who is drawn into a batch."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from client.images.files import load_image
from client.records.dataset import SiteDataset, open_dataset, sample_patients
from client.records.patients import digest
from client.records.tables import read_records
from irene_model.errors import DataError
from irene_model.inputs.tensors import encode_pixels, encode_records
from irene_model.study.records import SPLITS
from tests.helpers.hospital_folder import HospitalFolder


def dataset_of(hospital: HospitalFolder) -> SiteDataset:
    return open_dataset(hospital.site, hospital.study)


def caches(hospital: HospitalFolder) -> list[Path]:
    return sorted((hospital.folder / ".irene" / "cache").glob("v*-*/"))


@pytest.fixture
def no_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("an image was decoded")

    monkeypatch.setattr("client.images.many.read_radiograph", refuse)


def test_a_batch_holds_the_records_of_its_rows(hospital: HospitalFolder) -> None:
    study, rows = hospital.study, np.array([5, 3, 19, 5])
    batch = dataset_of(hospital).batch(rows)
    records = [read_records(hospital.site, study)[row] for row in rows]
    expected = encode_records(records, study)
    pixels = np.zeros((4, 16, 16), dtype=np.uint8)
    for place, record in enumerate(records):
        if record.image_path is not None:
            pixels[place] = load_image(record.image_path, 16)
    expected["pixel_values"] = encode_pixels(pixels, study)
    assert batch.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(batch[name], tensor, rtol=0, atol=0, msg=name)
    assert not batch["image_mask"][1] and batch["image_mask"][0]


def test_a_batch_may_be_empty(hospital: HospitalFolder) -> None:
    batch = dataset_of(hospital).batch(np.zeros(0, dtype=np.int64))
    assert batch["pixel_values"].shape == (0, 1, 16, 16)
    assert batch["labels"].shape == (0, 2)


@pytest.mark.parametrize("by", ["column", "hash"])
def test_splits_share_no_patient_and_hold_every_record(hospital: HospitalFolder, by: str) -> None:
    if by == "hash":
        hospital.configure("columns.split", None)
        hospital.configure("splits", {"validation": 0.3, "test": 0.3})
    records = read_records(hospital.site, hospital.study)
    dataset = dataset_of(hospital)
    homes: dict[str, str] = {}
    seen: list[int] = []
    for split in SPLITS:
        for rows in dataset.patients[split]:
            (patient,) = {records[row].patient_id for row in rows}  # one patient's rows together
            assert homes.setdefault(patient, split) == split
            assert len(rows) == 2
            seen += rows.tolist()
    assert sorted(seen) == list(range(20))
    assert len(homes) == 10 and set(homes.values()) == set(SPLITS)


def test_training_patients_are_known_by_their_digests(hospital: HospitalFolder) -> None:
    records = read_records(hospital.site, hospital.study)
    expected = {digest(record.patient_id) for record in records if record.split == "train"}
    assert dataset_of(hospital).training_digests == expected and len(expected) == 6


def test_unchanged_files_are_not_read_again(
    hospital: HospitalFolder, request: pytest.FixtureRequest
) -> None:
    first = dataset_of(hospital)
    request.getfixturevalue("no_decoding")
    hospital.configure("budget", {"epsilon": 1, "delta": 1.0e-3})  # says nothing of the files
    hospital.configure("federation.rounds", 9, "study.yaml")
    again = dataset_of(hospital)
    assert len(caches(hospital)) == 1
    np.testing.assert_array_equal(first.pixels, again.pixels)
    for name, tensor in first.tensors.items():
        assert torch.equal(tensor, again.tensors[name])


def test_a_changed_image_is_read_again(hospital: HospitalFolder) -> None:
    before = np.array(dataset_of(hospital).pixels)
    image = hospital.folder / "images" / "5.png"
    times = image.stat()
    other = (hospital.folder / "images" / "6.png").read_bytes()
    image.write_bytes(other)
    os.utime(image, ns=(times.st_atime_ns, times.st_mtime_ns + 1))
    after = dataset_of(hospital).pixels
    assert (after[5] == after[6]).all() and not (before[5] == after[5]).all()
    np.testing.assert_array_equal(np.delete(before, 5, 0), np.delete(np.asarray(after), 5, 0))


def test_a_changed_cell_is_read_again(hospital: HospitalFolder) -> None:
    assert not dataset_of(hospital).tensors["labels"][5, 0]
    hospital.set_cell(5, "pneumonia", "1")
    assert dataset_of(hospital).tensors["labels"][5, 0]


@pytest.mark.parametrize(
    ("key", "value", "file"),
    [
        ("labs.CRP.unit", "mg/L", "site.yaml"),
        ("exclude", ["R005"], "site.yaml"),
        ("text.max_tokens", 3, "study.yaml"),
        ("image.size", 24, "study.yaml"),
    ],
)
def test_another_mapping_or_study_is_another_cache(
    hospital: HospitalFolder, key: str, value: object, file: str
) -> None:
    dataset_of(hospital)
    hospital.configure(key, value, file)
    changed = dataset_of(hospital)
    assert len(caches(hospital)) == 2
    assert len(changed.pixels) == (19 if key == "exclude" else 20)
    assert changed.pixels.shape[1] == hospital.study.image.size
    assert changed.tensors["input_ids"].shape[1] == hospital.study.text.max_tokens


def test_a_damaged_image_is_named_by_its_place_and_not_by_its_file(
    hospital: HospitalFolder,
) -> None:
    image = hospital.folder / "images" / "5.png"
    image.write_bytes(image.read_bytes()[:100])
    image.rename(image.with_name("Erika-Mustermann.png"))
    hospital.set_cell(5, "file", "Erika-Mustermann.png")
    with pytest.raises(DataError, match=r"the image of encounters\.csv line \d+: ") as caught:
        dataset_of(hospital)
    assert "Erika" not in str(caught.value)


def test_progress_counts_images(hospital: HospitalFolder) -> None:
    seen: list[tuple[int, int]] = []
    open_dataset(hospital.site, hospital.study, lambda done, total: seen.append((done, total)))
    assert seen == [(n, 20) for n in range(3, 21)]  # three have no image


def draws(patients: list[np.ndarray], rate: float, times: int) -> list[np.ndarray]:  # type: ignore[type-arg]
    rng = np.random.default_rng(11)
    return [sample_patients(patients, sample_rate=rate, rng=rng) for _ in range(times)]


def test_the_size_of_a_batch_is_binomial() -> None:
    num, rate, times = 200, 0.1, 3000
    sizes = np.array(
        [len(rows) for rows in draws([np.array([n]) for n in range(num)], rate, times)]
    )
    mean, variance = num * rate, num * rate * (1 - rate)
    assert sizes.mean() == pytest.approx(mean, abs=4 * np.sqrt(variance / times))
    assert sizes.var() == pytest.approx(variance, rel=4 * np.sqrt(2 / times))


def test_patients_are_drawn_alike_and_independently_whatever_their_records() -> None:
    """Patient 0 has fifty records, the others one each."""
    patients = [np.arange(50), *(np.array([50 + n]) for n in range(9))]
    rate, times = 0.3, 4000
    owner = np.repeat(np.arange(10), [len(rows) for rows in patients])
    taken = np.zeros((times, 10))
    of_the_first = np.zeros(50)
    for draw, rows in enumerate(draws(patients, rate, times)):
        assert len(set(owner[rows])) == len(rows)  # one record of a patient
        taken[draw, owner[rows]] = 1
        of_the_first += np.bincount(rows[rows < 50], minlength=50)
    error = np.sqrt(rate * (1 - rate) / times)
    np.testing.assert_allclose(taken.mean(axis=0), rate, atol=4.5 * error)
    correlation = np.corrcoef(taken.T) - np.eye(10)
    assert np.abs(correlation).max() < 4.5 / np.sqrt(times)
    expected = of_the_first.sum() / 50  # its records take turns
    assert ((of_the_first - expected) ** 2 / expected).sum() < 49 + 4.5 * np.sqrt(2 * 49)


def test_a_rate_of_one_takes_everyone_and_nobody_may_be_drawn() -> None:
    patients = [np.array([4, 5]), np.array([7])]
    (rows,) = draws(patients, 1.0, 1)
    assert rows[0] in (4, 5) and rows[1] == 7 and len(rows) == 2
    assert any(len(rows) == 0 for rows in draws(patients, 0.1, 20))
    assert draws([], 0.5, 1)[0].shape == (0,)
