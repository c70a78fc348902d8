"""One hospital's folder again, with tables and radiographs in other containers."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
)

from tests.helpers.hospital_folder import HospitalFolder
from tests.helpers.phantom import write_dicom
from tests.helpers.sites.jpeg_dicom import write_jpeg_dicom

Rows = Sequence[dict[str, str]]
TABLES = ("encounters.csv", "patients.csv")
_NUMBERS = ("age", "lympho", "pneumonia", "death_offset")


def copied(hospital: HospitalFolder, folder: Path) -> HospitalFolder:
    """The hospital in a new folder."""
    shutil.copytree(hospital.folder, folder, ignore=shutil.ignore_patterns(".irene"))
    return HospitalFolder(folder=folder)


def in_parquet_and_dicom(hospital: HospitalFolder) -> None:
    """Tables in Parquet with numbers as numbers; each radiograph in the next of five syntaxes."""
    _rewrite_tables(hospital, "parquet", _parquet)
    syntaxes = (
        ExplicitVRLittleEndian,
        JPEGLossless,
        JPEGLosslessSV1,
        JPEGLSLossless,
        JPEG2000Lossless,
    )
    for number, path in enumerate(sorted((hospital.folder / "images").glob("*.png"))):
        values = np.asarray(Image.open(path)).astype(np.uint16) * 16  # of 8 bits to 12
        fields = {}
        if number % 2:
            values, fields = (4095 - values).astype(np.uint16), {}
            fields["PhotometricInterpretation"] = "MONOCHROME1"
        target, syntax = path.with_suffix(".dcm"), syntaxes[number % len(syntaxes)]
        if syntax == ExplicitVRLittleEndian:
            write_dicom(target, values, **fields)
        else:
            write_jpeg_dicom(target, syntax, values, **fields)
        path.unlink()


def in_excel(hospital: HospitalFolder) -> None:
    """Both tables as sheets of one workbook, numbers as numbers."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for table in TABLES:
        rows = hospital.rows(table)
        sheet = book.create_sheet(table.removesuffix(".csv"))
        sheet.append(list(rows[0]))
        for row in rows:
            sheet.append([_value(name, cell) for name, cell in row.items()])
        (hospital.folder / table).unlink()
    book.save(hospital.folder / "hospital.xlsx")
    hospital.configure("records.path", "hospital.xlsx")
    hospital.configure("records.sheet", "encounters")
    hospital.configure(
        "records.joins", [{"path": "hospital.xlsx", "sheet": "patients", "on": "patient_id"}]
    )


def _rewrite_tables(
    hospital: HospitalFolder, suffix: str, write: Callable[[Rows, Path], None]
) -> None:
    for table in TABLES:
        rows = hospital.rows(table)
        (hospital.folder / table).unlink()
        for row in rows:
            if "file" in row:
                row["file"] = row["file"].replace(".png", ".dcm")
        write(rows, (hospital.folder / table).with_suffix(f".{suffix}"))
    hospital.configure("records.path", f"encounters.{suffix}")
    hospital.configure("records.joins", [{"path": f"patients.{suffix}", "on": "patient_id"}])


def _parquet(rows: Rows, path: Path) -> None:
    columns = {name: [_value(name, row[name]) for row in rows] for name in rows[0]}
    pq.write_table(pa.table(columns), path)


def _value(name: str, cell: str) -> str | float | None:
    if cell == "":
        return None
    return float(cell) if name in _NUMBERS else cell
