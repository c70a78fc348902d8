"""Each format that comes from outside: a valid file, how it is broken, and who reads it.

Another format is one more line of `formats`.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from client.check.quality import inspect
from client.images.files import quiet
from client.images.headers import read_header
from client.images.many import ImageFile, RadiographReader
from client.images.problems import refusal
from client.site.site import Site
from irene_model.study.study import Study
from tests.helpers.fuzzing import mutations, pictures, workbooks
from tests.helpers.fuzzing.documents import json_files, read_documents
from tests.helpers.fuzzing.mutations import ANY, TEXT, Mutation
from tests.helpers.hospital_folder import HospitalFolder, write_hospital
from tests.helpers.sites.containers import in_excel

_SIZE = 16  # of the square that is read of a radiograph
_LAUGHS = "\n".join(
    f"l{n}: &l{n} [{', '.join(['*l' + str(n - 1)] * 9 if n else ['x'] * 9)}]" for n in range(9)
)
_KEYS = ("labels", "columns", "exclude", "missing", "words", "site", "units", "x", "labs")
_TYPES: Sequence[Callable[[int], Any]] = (
    lambda n: pa.array(range(n)),
    lambda n: pa.array([float("nan"), *[1e300] * (n - 1)]),
    lambda n: pa.array([True] * n),
    lambda n: pa.array([[1, 2]] * n),
    lambda n: pa.array([{"a": 1}] * n),
    lambda n: pa.array([b"\xff\xfe"] * n),
    lambda n: pa.array([b"\xff\xfe"] * n).view(pa.string()),
    pa.nulls,
    lambda n: pa.nulls(n, pa.string()),
    lambda n: pa.array([2**62] * n).cast(pa.timestamp("ns")),
    lambda n: pa.array([2**62] * n).cast(pa.timestamp("s")),
    lambda n: pa.array([1] * n).cast(pa.timestamp("us", "Mars/Olympus")),
    lambda n: pa.array([10**9] * n, pa.int32()).cast(pa.date32()),
    lambda n: pa.array([5] * n).cast(pa.duration("s")),
    lambda n: pa.array([1] * n).cast(pa.decimal128(38, 10)),
    lambda n: pa.array(["x"] * n).dictionary_encode(),
    lambda n: pa.array([1.5] * n, pa.float16()),
    lambda n: pa.array(["9" * 5000] * n, pa.large_string()),
    lambda n: pa.array([1] * n, pa.time64("ns")),
)


@dataclass(frozen=True, kw_only=True)
class Format:
    """valid: file -> content that is read. read: reads the broken file, or refuses it."""

    valid: Mapping[str, bytes]
    broken: Sequence[Mutation]
    read: Callable[[Path], object]

    def write_broken(self, folder: Path, rng: Random) -> Path:
        """Break one of the files in `folder`, perhaps twice; the others are whole."""
        for name, content in self.valid.items():
            (folder / name).write_bytes(content)
        name = rng.choice([*self.valid])
        content = self.valid[name]
        for _ in range(rng.choice((1, 1, 2))):
            content = rng.choice(self.broken)(content, rng)
        (folder / name).write_bytes(content)
        return folder / name


def formats(folder: Path) -> dict[str, Format]:
    """Name -> format; each has a folder of its name in `folder`, with all that its reader needs."""
    names = ("yaml", "csv", "long", "parquet", "xlsx")
    hospitals = {name: write_hospital(folder / name) for name in names}
    _add_long_labs(hospitals["long"])
    _add_long_labs(hospitals["parquet"])
    _as_parquet(hospitals["parquet"])
    _as_excel(hospitals["xlsx"])
    study = hospitals["yaml"].study
    kept = {name: hospital.folder for name, hospital in hospitals.items()}
    for name in ("png", "jpeg", "dicom", "json"):
        (folder / name).mkdir()
    png, dicom = pictures.picture("png"), pictures.dicom()
    spliced = mutations.spliced(dicom), mutations.spliced(png), mutations.spliced(b"site: north\n")
    tables = (*TEXT, *spliced)
    images = (*ANY, *spliced, mutations.spliced(pictures.picture("jpeg")))
    return {
        "yaml": _of(
            kept["yaml"], "site.yaml", "study.yaml", broken=(*tables, _laughs), read=_hospital
        ),
        "csv": _of(kept["csv"], "encounters.csv", "patients.csv", broken=tables, read=_hospital),
        "long": _of(kept["long"], "labs.csv", broken=tables, read=_hospital),
        "parquet": _of(
            kept["parquet"],
            "labs.parquet",
            "encounters.parquet",
            broken=(*images, *(retyped,) * 4),
            read=_hospital,
        ),
        "xlsx": _of(
            kept["xlsx"],
            "hospital.xlsx",
            broken=(*ANY, *spliced, *workbooks.WORKBOOK),
            read=_hospital,
        ),
        "png": Format(
            valid={
                "a": png,
                "b": pictures.picture("png", "I;16"),
                "c": pictures.picture("png", "RGBA"),
            },
            broken=(*images, *(pictures.with_right_checksums,) * 4),
            read=_image,
        ),
        "jpeg": Format(
            valid={"a": pictures.picture("jpeg")},
            broken=(*images, *(pictures.with_huge_frame,) * 2),
            read=_image,
        ),
        "dicom": Format(
            valid={"a": dicom}, broken=(*images, *(pictures.with_odd_tags,) * 6), read=_image
        ),
        "json": Format(
            valid=json_files(folder / "json", study),
            broken=tables,
            read=lambda path: read_documents(path.parent, study),
        ),
    }


def _of(
    folder: Path, *names: str, broken: Sequence[Mutation], read: Callable[[Path], object]
) -> Format:
    valid = {name: (folder / name).read_bytes() for name in names}
    return Format(valid=valid, broken=broken, read=read)


def _add_long_labs(hospital: HospitalFolder) -> None:
    """As a long table, with all that may be asked of one."""
    ids = [row["record_id"] for row in hospital.rows()]
    units = {"1988-5": "mg/L", "731-0": "10^9/L"}
    hospital.write_rows(
        [
            {
                **{
                    "record": ids[n % len(ids)],
                    "loinc": code,
                    "value": f"{n},5",
                    "unit": units[code],
                },
                **{"taken": f"2024-01-{1 + n % 28:02d} 08:00", "sign": "<" if n % 9 == 0 else ""},
            }
            for n in range(40)
            for code in ["1988-5" if n % 3 else "731-0"]
        ],
        "labs.csv",
    )
    columns = {"on": "record", "test": "loinc", "value": "value", "unit": "unit"}
    more = {"time": "taken", "take": "last", "comparator": "sign", "decimal": ","}
    hospital.configure("labs", None)
    hospital.configure("lab_table", {"path": "labs.csv", **columns, **more})


def _as_parquet(hospital: HospitalFolder) -> None:
    for name, key in (("encounters", "records"), ("labs", "lab_table")):
        table = pa.table(_columns(hospital.rows(f"{name}.csv")))
        pq.write_table(table, hospital.folder / f"{name}.parquet", row_group_size=9)
        hospital.configure(f"{key}.path", f"{name}.parquet")


def _as_excel(hospital: HospitalFolder) -> None:
    in_excel(hospital)
    book = hospital.folder / "hospital.xlsx"
    book.write_bytes(workbooks.plain(book.read_bytes()))


def _columns(rows: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def retyped(content: bytes, rng: Random) -> bytes:
    """A Parquet file some of whose columns are of another type."""
    try:
        table = pq.read_table(io.BytesIO(content))
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(table.num_columns)
            array = rng.choice(_TYPES)(table.num_rows)
            table = table.set_column(at, rng.choice(table.column_names), array)
        file = io.BytesIO()
        pq.write_table(table, file)
    except (pa.ArrowException, ValueError, OSError, IndexError):  # what is broken already
        return content
    return file.getvalue()


def _laughs(content: bytes, rng: Random) -> bytes:
    """A billion laughs, as a value of some key."""
    lines = content.decode("utf-8", "replace").splitlines()
    at = rng.randrange(len(lines) + 1)
    return "\n".join([*lines[:at], _LAUGHS, f"{rng.choice(_KEYS)}: *l8", *lines[at:]]).encode()


def _hospital(path: Path) -> object:
    """As `irene-client check` reads it."""
    site, study = Site.read(path.parent / "site.yaml"), Study.read(path.parent / "study.yaml")
    return inspect(site, study)


def _image(path: Path) -> object:
    """As one of a hospital's; what can't be read is counted."""
    reader = RadiographReader(size=_SIZE, most_pixels=50_000_000)
    with quiet():
        read_header(path)
        found = reader.read(ImageFile(path=path, place="encounters.csv line 7", row=0))
    if found is None:
        raise refusal(reader.bad)
    assert found.pixels.shape == (_SIZE, _SIZE)
    return found
