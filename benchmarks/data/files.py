"""Files as hospitals have them, made in seconds: radiographs, and one long laboratory table.

They are for measuring time and memory alone; nothing in them tells a disease.
"""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import yaml
from PIL import Image

from irene_model.study import Study

_TESTS = ("1988-5", "731-0", "718-7", "777-3", "2160-0", "3094-0", "2823-3", "2951-2")
_STUDY: dict[str, Any] = {
    "name": "benchmark of data",
    "labels": ["pneumonia"],
    "text": {"max_tokens": 16, "width": 16},
    "labs": [
        {"name": f"test {code}", "loinc": code, "unit": "mg/L", "low": 0, "high": 5}
        for code in _TESTS
    ],
    "demographics": ["age", "sex"],
    "training": {"expected_batch": 16},
    "model": {"preset": "tiny"},
    "federation": {"rounds": 2, "local_steps": 2, "minimum_sites": 1},
    "privacy": {"epsilon": 8.0, "clip_norm": 1.0, "delta": 1.0e-5},
}
_SITE: dict[str, Any] = {
    "site": "north",
    "records": {"path": "records.csv"},
    "columns": {
        "patient_id": "patient_id",
        "record_id": "record_id",
        "text": "complaint",
        "age": "age",
        "sex": {"column": "sex"},
    },
    "labels": {"pneumonia": {"column": "pneumonia"}},
    "budget": {"epsilon": 8, "delta": 1.0e-5},
}
_SHADES = 12  # bits
_PART = 1_000_000  # rows that are made at a time
_LOCAL_TESTS = 40  # which the study does not ask for, as often as each that it does


def write_study(folder: Path, size: int) -> Study:
    """`study.yaml` with radiographs of `size` x `size`."""
    document = {**_STUDY, "image": {"size": size, "patch": size // 8}}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return Study.model_validate(document)


def write_records(folder: Path, count: int, *, kind: str | None, side: int) -> None:
    """`site.yaml`, `records.csv` and, unless `kind` is None, `count` radiographs.

    kind: png or dcm; side: of the square radiographs, in pixels.
    """
    folder.mkdir(parents=True, exist_ok=True)
    site = dict(_SITE)
    if kind is not None:
        image = {"column": "file", "pattern": "images/{}"}
        site["columns"] = {**_SITE["columns"], "image": image}
    with (folder / "records.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("record_id", "patient_id", "complaint", "age", "sex", "pneumonia", "file"))
        rows.writerows(
            (f"R{n}", f"P{n // 2}", "fever", 20 + n % 70, "mf"[n % 2], n % 3 // 2, f"{n}.{kind}")
            for n in range(count)
        )
    (folder / "site.yaml").write_text(yaml.safe_dump(site), encoding="utf-8")
    if kind is not None:
        (folder / "images").mkdir()
        rng = np.random.default_rng(0)
        shadows = [_shadow(side, rng) for _ in range(8)]
        for number in range(count):
            values = np.roll(shadows[number % 8], 7 * number, axis=number % 2)
            _write_image(folder / "images" / f"{number}.{kind}", values)


def _shadow(side: int, rng: np.random.Generator) -> npt.NDArray[np.uint16]:
    """Something smooth with a detector's noise, of 12 bits."""
    coarse = Image.fromarray(rng.random((16, 16), np.float32))
    smooth = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))
    noisy = (smooth + rng.normal(0, 0.01, smooth.shape)).clip(0, 1)
    shadow: npt.NDArray[np.uint16] = (noisy * (2**_SHADES - 1)).astype(np.uint16)
    return shadow


def _write_image(path: Path, values: npt.NDArray[np.uint16]) -> None:
    if path.suffix == ".png":
        Image.fromarray((values >> (_SHADES - 8)).astype(np.uint8)).save(path, compress_level=1)
        return
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    uid = generate_uid(prefix=None)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
    dataset.Rows, dataset.Columns = values.shape
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, _SHADES, _SHADES - 1
    dataset.PhotometricInterpretation, dataset.Modality = "MONOCHROME2", "DX"
    dataset.PixelData = values.tobytes()
    dataset.save_as(path, enforce_file_format=True)


def write_labs(folder: Path, rows: int, *, records: int, kind: str, asked: float = 1 / 6) -> Path:
    """A laboratory's table of `rows` values over a year, with the columns such exports have.

    records: how many of them the site has; each fifth value is of one of these, as in an export of
    the whole house. asked: the share of the tests that the study asks for.
    """
    path = folder / f"labs.{kind}"
    rng = np.random.default_rng(1)
    local = [f"{9000 + n}-{n % 10}" for n in range(_LOCAL_TESTS)]
    codes, units = pa.array([*_TESTS, *local]), pa.array(["mg/L", "mg/dL", "g/L"])
    writer: Any = None
    for start in range(0, rows, _PART):
        count = min(_PART, rows - start)
        test = rng.integers(0, len(_TESTS), count)
        stranger = rng.integers(len(_TESTS), len(codes), count)
        number = rng.integers(0, 5 * records, count)
        seconds = rng.integers(1_704_067_200, 1_735_689_600, count)
        table = pa.table(
            {
                "lab_id": np.arange(start, start + count),
                "record_id": pa.array([f"R{n}" for n in range(5 * records)]).take(number),
                "loinc": codes.take(np.where(rng.random(count) < asked, test, stranger)),
                "value": np.round(rng.lognormal(1, 1, count), 1),
                "unit": units.take(rng.integers(0, 3, count)),
                "taken": pa.array(seconds).cast(pa.timestamp("s")),
            }
        )
        if writer is None:
            make = pyarrow.csv.CSVWriter if kind == "csv" else pyarrow.parquet.ParquetWriter
            writer = make(path, table.schema)
        writer.write_table(table)
    writer.close()
    site = yaml.safe_load((folder / "site.yaml").read_text(encoding="utf-8"))
    on = {"path": path.name, "on": "record_id", "test": "loinc", "value": "value", "unit": "unit"}
    site["lab_table"] = {**on, "matched": 0.1, "take": "last", "time": "taken"}
    (folder / "site.yaml").write_text(yaml.safe_dump(site), encoding="utf-8")
    return path
