"""The folder that an import leaves: records.csv, labs.parquet, and the draft of site.yaml."""

import csv
import errno
import io
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from client.imports.choices import Choices
from client.imports.linking import Owners, Record
from client.imports.record_columns import Cells, columns_of
from client.sources import History, Tally
from irene_model.errors import ConfigError, DataError, DiskError
from irene_model.journal import open_private, private_folder
from irene_model.study import Study

if TYPE_CHECKING:
    import pyarrow as pa

RECORDS, LABS = "records.csv", "labs.parquet"


@contextmanager
def unfinished(out: Path, sources: Sequence[Path]) -> Iterator[Path]:
    """A folder beside `out` that becomes `out` at the end, or is gone where anything fails.

    Raises:
        ConfigError: `out` holds something, is within what is read, or can't be made.
    """
    if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise ConfigError(f"{out}: is not empty, or no folder; give a new one")
    if any(out.resolve().is_relative_to(source.resolve()) for source in sources):
        raise ConfigError(f"{out}: lies within what is read; give a folder beside it")
    try:
        parent = out.absolute().parent
        if not parent.exists():
            private_folder(parent)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.unfinished-", dir=parent))
    except OSError as error:
        raise ConfigError(f"{out}: can't be made ({type(error).__name__})") from None
    try:
        yield folder
        folder.replace(out)  # an empty folder of that name is replaced
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskError(f"{out}: the disk is full; nothing is left of it") from None
        # Whose name is not said: a file may be called as its patient is.
        raise DataError(
            f"{out}: a file can't be read, or not be written there ({type(error).__name__}); "
            "nothing is left of it"
        ) from None
    finally:
        if folder.exists():
            shutil.rmtree(folder)


def write_records(
    folder: Path, records: Sequence[Record], history: History, owners: Owners, choices: Choices
) -> Cells:
    """records.csv, of the columns that hold anything; returns them."""
    tally = history.tally
    if not records:
        raise DataError(
            f"no {'image' if choices.records == 'images' else 'visit'} is left to make a record "
            f"of: {_why_none(history)}"
        )
    columns = columns_of(records, history, owners, choices)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    _write(folder / RECORDS, text.getvalue().encode())
    tally.read["records"] = len(records)
    return columns


def write_labs(
    folder: Path,
    chunks: Iterable["pa.Table"],
    records: Sequence[Record],
    *,
    tally: Tally,
    owners: Owners,
    study: Study,
) -> int:
    """labs.parquet, a row for each value and each record that it belongs to; returns their number.

    Of a test of the study a value without a unit is left out, since nobody knows what it says.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    ids = pa.array([record.id for record in records], pa.string())
    patients = pa.array([record.patient for record in records], pa.string())
    needing = pa.array([test.loinc for test in study.labs if test.unit != "1"], pa.string())
    units = pa.array([test.unit for test in study.labs if test.unit != "1"], pa.string())
    words = pa.array(["negative", "positive"])
    written, writer = 0, None
    for chunk in chunks:
        needs = pc.is_in(chunk["code"], value_set=needing)
        is_word = pc.is_in(chunk["value"], value_set=words)
        bare = pc.and_(needs, pc.equal(chunk["unit"], ""))
        own = units.take(pc.index_in(chunk["code"], value_set=needing).combine_chunks())
        # Of a word the unit is no matter; the reader wants one all the same.
        unit = pc.if_else(pc.and_(bare, is_word), own, chunk["unit"])
        chunk = chunk.set_column(chunk.column_names.index("unit"), "unit", unit)
        without = pc.and_(bare, pc.invert(is_word))
        tally.pass_over("laboratory values", "without a unit", pc.sum(without).as_py() or 0)
        chunk = chunk.filter(pc.invert(without)).combine_chunks()
        row, record = owners.pairs(
            chunk["patient"], chunk["visit"], chunk["seconds"].to_numpy(zero_copy_only=False)
        )
        lost = chunk.num_rows - len(np.unique(row))
        tally.pass_over("laboratory values", "of no record, or too far from it", lost)
        if not len(row):
            continue
        taken = chunk.take(row)
        table = pa.table(
            {
                "record_id": ids.take(record),
                "patient_id": patients.take(record),
                "taken_at": taken["at"],
                **{name: taken[name] for name in ("code", "value", "comparator", "unit")},
            }
        )
        if writer is None:
            os.close(open_private(folder / LABS, os.O_WRONLY))
            writer = pq.ParquetWriter(str(folder / LABS), table.schema)
        writer.write_table(table)
        written += table.num_rows
    if writer is not None:
        writer.close()
    tally.read["laboratory rows"] = written
    return written


def write_draft(folder: Path, text: str) -> None:
    """site.yaml."""
    _write(folder / "site.yaml", text.encode())


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(open_private(path, os.O_WRONLY | os.O_TRUNC), "wb") as file:
        file.write(content)


def _why_none(history: History) -> str:
    causes = [f"{n} {kind}: {why}" for (kind, why), n in history.tally.passed.most_common(3)]
    return "; ".join(causes) or "nothing of the kind was there"
