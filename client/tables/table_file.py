"""One file of a table, by its kind; what is of another kind is told which, whatever its name."""

from pathlib import Path

from client.site import Table
from client.tables.csv_files import Cells, read_csv
from client.tables.parquet_files import read_parquet
from irene_model.errors import DataError

_EXCEL = "save the sheet as 'CSV UTF-8' there"
_UNPACK = "unpack it first"
# What other files begin with, whatever they are named.
_OTHER_KINDS = {
    b"PK\x03\x04": ("an Excel workbook (.xlsx) or another zip archive", _EXCEL),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook (.xls)", _EXCEL),
    b"\x1f\x8b": ("compressed by gzip", _UNPACK),
    b"BZh": ("compressed by bzip2", _UNPACK),
    b"\xfd7zXZ": ("compressed by xz", _UNPACK),
    b"7z\xbc\xaf": ("compressed by 7-Zip", _UNPACK),
    b"\x28\xb5\x2f\xfd": ("compressed by zstd", _UNPACK),
    b"PAR1": ("a Parquet file", "name it .parquet"),
    b"ARROW1": ("an Arrow file", "export CSV or Parquet"),
    b"%PDF": ("a PDF", "export CSV or Parquet"),
    b"{\\rtf": ("an RTF document", "export CSV or Parquet"),
    b"$FL": ("an SPSS file", "export CSV or Parquet"),
    b"<stata": ("a Stata file", "export CSV or Parquet"),
    b"SQLite format 3": ("an SQLite database", "export CSV or Parquet"),
    b"<": ("XML or a web page", "export CSV or Parquet"),
    b"{": ("JSON", "export CSV or Parquet"),
    b"version https://git-lfs": ("a pointer to a file that Git LFS keeps", "run git lfs pull"),
}


def read_table(path: Path, table: Table, key: str) -> Cells:
    """The cells of the file at `path`, with at least one row.

    key: where site.yaml names the table, for the errors.

    Raises:
        DataError: the file is of another kind, or as `read_csv` and `read_parquet` do.
    """
    shown, suffix = str(table.path), path.suffix.lower()
    _refuse_other_kinds(path, shown, is_text=suffix != ".parquet")
    if suffix == ".parquet":
        found = read_parquet(path, shown)
    elif suffix in (".csv", ".tsv", ".txt"):
        found = read_csv(path.read_bytes(), table, key)
    else:
        raise DataError(f"{shown}: named by {key}.path: expected .csv, .tsv, .txt or .parquet")
    if not found.lines:
        header = "a header, and no rows below it" if found.names else "no text"
        raise DataError(f"{shown}: holds {header}; export it again")
    return found


def _refuse_other_kinds(path: Path, shown: str, *, is_text: bool) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(200)
    except OSError as error:
        raise DataError(f"{shown}: can't be read ({type(error).__name__})") from None
    if not start:
        raise DataError(f"{shown}: is empty, it holds no byte; export or copy it again")
    for beginning, (kind, remedy) in _OTHER_KINDS.items():
        is_parquet = beginning == b"PAR1" and not is_text
        if start.lstrip(b" \r\n\t").startswith(beginning) and not is_parquet:
            raise DataError(f"{shown}: is {kind}, not a table of text or Parquet; {remedy}")
