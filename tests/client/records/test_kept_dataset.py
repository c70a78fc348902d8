"""A data set that a process keeps is read again where anything of it has changed."""

import numpy as np
from PIL import Image

from client.records.dataset import KeptDataset, open_dataset
from tests.helpers.hospital_folder import HospitalFolder


def test_the_same_files_and_study_give_the_same_object(hospital: HospitalFolder) -> None:
    kept = KeptDataset()
    first = kept.open(hospital.site, hospital.study)
    assert kept.open(hospital.site, hospital.study) is first
    assert KeptDataset().open(hospital.site, hospital.study) is not first
    hospital.configure("budget", {"epsilon": 4, "delta": 1e-3})  # no matter of the data
    assert kept.open(hospital.site, hospital.study) is first


def test_a_changed_table_image_mapping_or_study_is_read_again(hospital: HospitalFolder) -> None:
    kept = KeptDataset()
    before = kept.open(hospital.site, hospital.study)
    table = hospital.folder / "encounters.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join(lines[:-1]) + "\n")
    fewer = kept.open(hospital.site, hospital.study)
    assert len(fewer.pixels) == len(before.pixels) - 1

    image = next(iter(sorted((hospital.folder / "images").iterdir())))
    with Image.open(image) as opened:
        size = opened.size
    Image.fromarray(np.full(size[::-1], 255, dtype=np.uint8)).save(image)
    other = kept.open(hospital.site, hospital.study)
    assert not np.array_equal(other.pixels, fewer.pixels)

    hospital.configure("splits", {"validation": 0.3, "test": 0.3})
    again = kept.open(hospital.site, hospital.study)
    assert again is not other
    hospital.configure("name", "another study", "study.yaml")
    named = kept.open(hospital.site, hospital.study)
    assert named is not again and named.study.name == "another study"
    same = open_dataset(hospital.site, hospital.study)
    assert np.array_equal(same.pixels, named.pixels)
    assert same.training_digests == named.training_digests
