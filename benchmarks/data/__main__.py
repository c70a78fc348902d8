"""How fast a hospital's files become tensors, and in how much memory, beside plain loops.

    python -m benchmarks.data measure

Files are made in a temporary folder, as `benchmarks.data.files` says, and each line is measured in
a process of its own, one after the other: wall seconds and processor seconds from after its imports
on, and the most memory that the process ever held. The plain loops are what one would write by
hand: pydicom or Pillow, a file after another, to the same square.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from irene_model.console import new_app, run_app

app = new_app("Records a second, seconds to the first step, and memory.\n")
Result = dict[str, float]


def _plain(folder: Path) -> int:
    import numpy as np
    import pydicom
    from PIL import Image

    from irene_model.study import Study

    size = Study.read(folder / "study.yaml").image.size
    squares = []
    for path in sorted((folder / "images").iterdir()):
        if path.suffix == ".dcm":
            values = pydicom.dcmread(path).pixel_array.astype(np.float32)
            image = Image.fromarray(values * (255 / values.max())).convert("L")
        else:
            image = Image.open(path).convert("L")
        squares.append(np.asarray(image.resize((size, size), Image.Resampling.BOX)))
    return len(np.stack(squares))


def _data_set(folder: Path) -> int:
    from client.records import open_dataset
    from client.site import Site
    from irene_model.study import Study

    site, study = Site.read(folder / "site.yaml"), Study.read(folder / "study.yaml")
    return len(open_dataset(site, study).pixels)


def _first_step(folder: Path) -> int:
    """What a process does until it computes."""
    import numpy as np

    from client.records import open_dataset, sample_patients
    from client.site import Site
    from irene_model.study import Study
    from irene_model.weights import new_model

    site, study = Site.read(folder / "site.yaml"), Study.read(folder / "study.yaml")
    dataset = open_dataset(site, study)
    new_model(study, seed=0)
    rng = np.random.default_rng(0)
    dataset.batch(sample_patients(dataset.patients["train"], sample_rate=0.01, rng=rng))
    return len(dataset.pixels)


def _transformers(folder: Path) -> int:
    """The import that models are built on, of which nothing is this project's."""
    import transformers.modeling_utils  # noqa: F401

    return len(folder.parts)


def _tables(folder: Path) -> int:
    from client.joins import Account
    from client.records import read_wanted_records
    from client.site import Site
    from irene_model.study import Study

    account = Account()
    site, study = Site.read(folder / "site.yaml"), Study.read(folder / "study.yaml")
    read_wanted_records(site, study, account)
    return next(table.rows for table in account.tables if table.key == "lab_table")


_WORK: dict[str, Callable[[Path], int]] = {
    "plain": _plain,
    "data-set": _data_set,
    "first-step": _first_step,
    "transformers": _transformers,
    "tables": _tables,
}


@app.command(hidden=True)
def one(
    work: Annotated[str, typer.Argument(help="What to measure.")],
    folder: Annotated[Path, typer.Argument(help="With site.yaml and study.yaml.")],
) -> None:
    """Do one thing in this process and say what it took, as JSON."""
    if work in {"data-set", "first-step", "transformers"}:
        import torch  # noqa: F401  # its import is told apart
    if work == "plain":
        import pydicom.pixels  # noqa: F401
    began, cpu = time.perf_counter(), time.process_time()
    count = _WORK[work](folder)
    found = {
        "count": count,
        "seconds": time.perf_counter() - began,
        "processor": time.process_time() - cpu,
        "bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    typer.echo(json.dumps(found))


def _measured(work: str, folder: Path) -> Result:
    command = [sys.executable, "-m", "benchmarks.data", "one", work, str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    found: Result = json.loads(done.stdout.splitlines()[-1])
    return found


def _show(name: str, found: Result, unit: str) -> None:
    rate = found["count"] / found["processor"]
    typer.echo(
        f"{name:38} {found['count']:10,.0f} {unit:8} {found['seconds']:7.2f} s, "
        f"{found['processor']:6.2f} s of processors {rate:11,.0f} a second of these "
        f"{found['bytes'] / 1e6:6,.0f} MB"
    )


@app.command()
def measure(
    *,
    images: Annotated[int, typer.Option(min=1, help="Radiographs of each kind.")] = 200,
    side: Annotated[int, typer.Option(min=64, help="Their sides, in pixels.")] = 2048,
    records: Annotated[int, typer.Option(min=10, help="Of the warm start.")] = 10_000,
    rows: Annotated[int, typer.Option(min=1000, help="Of the laboratory's table.")] = 10_000_000,
) -> None:
    """Measure all, side by side.

    Example: `python -m benchmarks.data measure --images 50 --rows 1000000`
    """
    from benchmarks.data.files import write_labs, write_records, write_study

    typer.echo(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the beginning")
    for kind, name in (("dcm", "DICOM, 12 bits"), ("png", "PNG, 8 bits")):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            write_study(folder, 224)
            write_records(folder, images, kind=kind, side=side)
            for what, work in (("plain", "plain"), ("cold", "data-set"), ("warm", "data-set")):
                _show(f"{name}, {side} x {side}: {what}", _measured(work, folder), "records")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_study(folder, 128)
        write_records(folder, records, kind="png", side=128)
        _show("small PNG: cold", _measured("data-set", folder), "records")
        _show("a new process to its first step", _measured("first-step", folder), "records")
        _show("of that, importing transformers", _measured("transformers", folder), "")
    for kind, asked in (("csv", 1 / 6), ("parquet", 1 / 6), ("csv", 1.0)):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            write_study(folder, 16)
            write_records(folder, records, kind=None, side=0)
            path = write_labs(folder, rows, records=records, kind=kind, asked=asked)
            what = f"laboratory table, {kind}, {path.stat().st_size / 1e6:,.0f} MB"
            _show(f"{what}, {asked:.0%} asked", _measured("tables", folder), "rows")


if __name__ == "__main__":
    run_app(app)
