"""OMOP's tables as exports hold them: a folder of CSV or Parquet, a SQLite or DuckDB file."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from irene_model.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pyarrow as pa

_AT_ONCE = 50_000
_BLOCK = 16 << 20  # bytes of CSV, of which no row may be longer
_SQLITE, _DUCKDB, _DUCKDB_AT = b"SQLite format 3\0", b"DUCK", 8


class OmopTables(Protocol):
    """Tables by their names in small letters, with columns in small letters, cells as text."""

    def columns(self, table: str) -> frozenset[str]:
        """The names of its columns; none where there is no such table."""

    def batches(self, table: str, columns: Sequence[str]) -> Iterator["pa.Table"]:
        """`columns` of all rows, some thousands at a time; a column that is not there is empty."""


def open_omop(source: Path) -> OmopTables:
    """The tables of a folder or database file.

    Raises:
        ConfigError: a DuckDB file where its library is not installed.
        DataError: there is no such file or folder, or it is none of the kinds.
    """
    if source.is_dir():
        return _Folder(source)
    try:
        with source.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise DataError(f"{source}: can't be read ({type(error).__name__})") from None
    if start == _SQLITE:
        return _Sqlite(source)
    if start[_DUCKDB_AT : _DUCKDB_AT + 4] == _DUCKDB:
        return _Duckdb(source)
    raise DataError(f"{source}: is neither a folder nor a file of SQLite or DuckDB")


@dataclass(frozen=True)
class _Folder:
    """`person.csv` or `PERSON.parquet`, or a folder `person` of Parquet files, as Spark writes."""

    folder: Path

    def columns(self, table: str) -> frozenset[str]:
        return frozenset(name for path in self._files(table)[:1] for name in self._names(path))

    def batches(self, table: str, columns: Sequence[str]) -> Iterator["pa.Table"]:
        import pyarrow as pa

        for path in self._files(table):
            shown = path.relative_to(self.folder).as_posix()
            written = self._names(path)
            present = {name: written[name] for name in columns if name in written}
            try:
                for batch in self._read(path, [*present.values()]):
                    yield _as_text(pa.Table.from_batches([batch]), present, columns)
            except (pa.ArrowException, OSError, ValueError):
                raise DataError(
                    f"{shown}: is damaged, or no table in UTF-8; export it again"
                ) from None

    def _files(self, table: str) -> list[Path]:
        """Links may lead out of the folder and are none of its files."""
        found = []
        for path in sorted(self.folder.iterdir()):
            if path.is_symlink() or path.stem.lower() != table:
                continue
            if path.is_file() and path.suffix.lower() in (".csv", ".tsv", ".parquet"):
                found.append(path)
            elif path.is_dir():
                parts = sorted(path.glob("*.parquet"))
                found += [part for part in parts if part.is_file() and not part.is_symlink()]
        if len({path.parent for path in found}) > 1 or (
            len(found) > 1 and found[0].parent == self.folder
        ):
            raise DataError(f"{self.folder}: holds the table {table} more than once; keep one")
        return found

    def _names(self, path: Path) -> dict[str, str]:
        """Name in small letters -> as it is written."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            if path.suffix.lower() == ".parquet":
                with path.open("rb") as file:
                    names = pq.read_schema(file).names
            else:
                with path.open("rb") as file:
                    header = file.readline(_BLOCK).decode("utf-8-sig").strip("\r\n")
                names = [name.strip('"') for name in header.split(_separator(header))]
        except (pa.ArrowException, OSError, ValueError):
            raise DataError(f"{path.name}: is damaged, or no table in UTF-8") from None
        return {name.lower(): name for name in names}

    def _read(self, path: Path, names: Sequence[str]) -> Iterator[Any]:
        import pyarrow as pa
        import pyarrow.parquet as pq
        from pyarrow import csv

        if path.suffix.lower() == ".parquet":
            with path.open("rb") as file:
                yield from pq.ParquetFile(file).iter_batches(_AT_ONCE, columns=list(names))
            return
        with path.open("rb") as file:
            mark = _separator(file.readline(_BLOCK).decode("utf-8-sig"))
        # Athena's vocabularies are separated by tabs and quote nothing.
        parsing = csv.ParseOptions(
            delimiter=mark,
            quote_char=False if mark == "\t" else '"',
            newlines_in_values=mark != "\t",
        )
        converting = csv.ConvertOptions(
            include_columns=list(names), column_types=dict.fromkeys(names, pa.string())
        )
        reading = csv.ReadOptions(block_size=_BLOCK)
        with (
            path.open("rb") as file,
            csv.open_csv(
                file, read_options=reading, parse_options=parsing, convert_options=converting
            ) as reader,
        ):
            yield from reader


@dataclass(frozen=True)
class _Sqlite:
    """Opened to be read alone; a view could hold any expression, so tables alone count."""

    path: Path

    def columns(self, table: str) -> frozenset[str]:
        with closing(self._open()) as connection:
            return frozenset(name.lower() for name in self._names(connection, table))

    def batches(self, table: str, columns: Sequence[str]) -> Iterator["pa.Table"]:
        import pyarrow as pa

        with closing(self._open()) as connection:
            written = {name.lower(): name for name in self._names(connection, table)}
            present = {name: written[name] for name in columns if name in written}
            quoted = ", ".join(
                f'"{name.replace(chr(34), chr(34) * 2)}"' for name in present.values()
            )
            if not present:
                return
            try:
                cursor = connection.execute(f'SELECT {quoted} FROM "{table}" ORDER BY rowid')
                while rows := cursor.fetchmany(_AT_ONCE):
                    cells = [
                        pa.array([_cell(value) for value in column], pa.string())
                        for column in zip(*rows, strict=True)
                    ]
                    batch = pa.Table.from_arrays(cells, names=list(present.values()))
                    yield _as_text(batch, present, columns)
            except sqlite3.Error:
                raise DataError(f"{self.path.name}: table {table}: can't be read") from None

    def _open(self) -> sqlite3.Connection:
        try:
            uri = f"{self.path.absolute().as_uri()}?mode=ro"
            connection = sqlite3.connect(uri, uri=True)
            connection.execute("PRAGMA trusted_schema = OFF")
        except sqlite3.Error:
            raise DataError(f"{self.path.name}: is no database that SQLite can read") from None
        connection.text_factory = lambda content: content.decode("utf-8", "replace")
        return connection

    def _names(self, connection: sqlite3.Connection, table: str) -> list[str]:
        try:
            tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
            if table not in {str(name).lower() for (name,) in tables}:
                return []
            return [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]
        except sqlite3.Error:
            raise DataError(f"{self.path.name}: is no database that SQLite can read") from None


@dataclass(frozen=True)
class _Duckdb:
    """By its own library, which is an optional extra; nothing outside the file is opened."""

    path: Path

    def columns(self, table: str) -> frozenset[str]:
        asked = (
            "SELECT c.column_name FROM duckdb_columns() c JOIN duckdb_tables() t USING (table_oid) "
            "WHERE lower(t.table_name) = ? AND NOT c.internal"
        )
        with self._opened() as connection:
            rows = connection.execute(asked, [table]).fetchall()
        return frozenset(str(name).lower() for (name,) in rows)

    def batches(self, table: str, columns: Sequence[str]) -> Iterator["pa.Table"]:
        import pyarrow as pa

        present = {name: name for name in columns if name in self.columns(table)}
        if not present:
            return
        quoted = ", ".join(f'"{name}"' for name in present)
        with self._opened() as connection:
            found = connection.execute(f'SELECT {quoted} FROM "{table}" ORDER BY rowid')
            while rows := found.fetchmany(_AT_ONCE):
                cells = [
                    pa.array([_cell(value) for value in column], pa.string())
                    for column in zip(*rows, strict=True)
                ]
                yield _as_text(pa.Table.from_arrays(cells, names=[*present]), present, columns)

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        try:
            import duckdb
        except ImportError:
            raise ConfigError(
                f"{self.path}: is a DuckDB file, and its library is not installed: install the "
                "extra `sql`, or export the tables as Parquet"
            ) from None
        try:
            config = {"enable_external_access": "false"}
            with closing(duckdb.connect(str(self.path), read_only=True, config=config)) as opened:
                yield opened
        except duckdb.Error:
            raise DataError(f"{self.path.name}: can't be read by DuckDB") from None


def _separator(header: str) -> str:
    return "\t" if "\t" in header else ","


def _cell(value: Any) -> str | None:
    if value is None or isinstance(value, bytes):
        return None
    return repr(value) if isinstance(value, float) else str(value)


def _as_text(batch: "pa.Table", present: dict[str, str], columns: Sequence[str]) -> "pa.Table":
    """All of `columns` as text, a gap as empty; a whole number in a float as such."""
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = []
    for name in columns:
        if name not in present:
            cells.append(pa.array([""] * batch.num_rows, pa.string()))
            continue
        column = batch[present[name]].combine_chunks()
        if pa.types.is_floating(column.type):
            text = pc.cast(column, pa.string())
            text = pc.replace_substring_regex(text, r"\.0$", "")
        else:
            text = pc.cast(column, pa.string())
        cells.append(pc.utf8_trim_whitespace(pc.fill_null(text, "")))
    table = pa.Table.from_arrays(cells, names=list(columns))
    table.validate(full=True)  # Parquet's text is not looked at until it is used
    return table
