"""A film is known again when it was compressed, resized or darkened; no two are taken for one."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from client.films.sheet import choose
from client.films.twins import count_twins, fingerprint
from irene_model.inputs.pixels import Levels, Pixels, square
from irene_model.study.records import Record, Split
from simulations.patients import Findings, Scanner, draw

SIZE = 64


def film(seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    pixels = draw(Findings(), scanner=Scanner(), rng=rng, size=96)
    return Image.fromarray(np.asarray(pixels)).crop((0, 8, 96, 96))


def record(patient: str, split: Split, number: int = 0) -> Record:
    return Record(
        patient_id=patient, record_id=f"{patient}-{number}", split=split, labs={}, labels={}
    )


def compressed(image: Image.Image) -> Image.Image:
    written = io.BytesIO()
    image.save(written, "JPEG", quality=60)
    return Image.open(written)


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "nothing": lambda image: image,
    "compressed": compressed,
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.8),
    "another gamma": lambda image: image.point(lambda level: int(255 * (level / 255) ** 0.7)),
}


def read(image: Image.Image) -> Pixels:
    return square(Levels(values=np.asarray(image, np.float32)), SIZE)


def print_of(image: Image.Image) -> np.ndarray:  # type: ignore[type-arg]
    return fingerprint(read(image))


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found_in_the_other_split(change: str) -> None:
    films = [film(seed) for seed in range(12)]
    prints = np.array([print_of(each) for each in [*films, CHANGES[change](films[3])]])
    records = [record(f"P{n}", "train") for n in range(12)] + [record("P99", "test")]
    twins = count_twins(prints, records)
    assert (twins.same_patient, twins.other_patient, twins.other_split) == (0, 0, 2)


def test_who_a_twin_belongs_to_is_told_apart() -> None:
    one, other = print_of(film(1)), print_of(film(2))
    records = [record("A", "train"), record("A", "train", 1), record("B", "train")]
    twins = count_twins(np.array([one, one, one, other]), [*records, record("C", "test")])
    assert (twins.same_patient, twins.other_patient, twins.other_split) == (2, 3, 0)


def test_none_and_one_film_have_no_twin() -> None:
    for prints in (np.zeros((0, 512), bool), print_of(film(1))[None]):
        twins = count_twins(prints, [record("A", "train")] * len(prints))
        assert twins.same_patient == twins.other_patient == twins.other_split == 0


def test_thousands_of_films_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.films.twins._COMPARED", 100)
    prints = np.random.default_rng(0).random((50, 512)) > 0.5
    prints[49] = prints[0]
    records = [record(f"P{n}", "train" if n < 25 else "test") for n in range(50)]
    assert count_twins(prints, records).other_split == 2


def test_the_black_around_a_film_is_no_part_of_it() -> None:
    pixels = read(film(1))
    framed = np.pad(pixels, 20)
    assert (fingerprint(framed) == fingerprint(pixels)).all()


def test_the_contact_sheet_covers_splits_and_patients() -> None:
    splits: tuple[Split, ...] = ("train",) * 90 + ("validation",) * 4 + ("test",) * 40
    records = [record(f"P{n // 2}", split, n) for n, split in enumerate(splits)]
    rows = choose(records, 24)
    chosen = [records[row] for row in rows]
    assert len(set(rows)) == 24
    assert [sum(r.split == s for r in chosen) for s in ("train", "validation", "test")] == [
        10,
        4,
        10,
    ]
    assert len({r.patient_id for r in chosen if r.split == "train"}) == 10
    assert rows != sorted(rows)[:24] and choose(records[:3], 24) and choose([], 24) == []
