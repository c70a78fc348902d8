"""What a query makes of a hospital's files, as text: by SQLite, or by DuckDB, which is an extra.

The files are those that site.yaml names, so that a change of any is noticed. They are opened for
reading; a query reaches no other file, no network, and no setting.
"""

import sqlite3
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from client.site import Table
from client.tables.csv_files import Cells, separator_of
from client.tables.parquet_files import as_text, cells_of_arrow
from irene_model.errors import DataError

INSTALL = "pip install 'federated-irene[sql]'"
_COUNTED = "result row"
MOST_CELLS = 10_000_000
_SECONDS = 600.0
_PART = 50_000
_SIGNS = {b"SQLite format 3\0": "sqlite", b"DUCK": "duckdb"}
_DUCK_AT = 8  # behind a checksum
_SETTINGS = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "memory_limit": "1GB",
    "temp_directory": "",
    "threads": "1",  # with several, rows that nobody orders come in another order each time
}
_READING = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}


def read_query(path: Path, beside: Mapping[str, Path], table: Table, key: str) -> Cells:
    """The rows that `table.query` finds, counted from 1.

    path: where `table.path` lies. beside: what the query calls a further file -> where it lies.

    Raises:
        DataError: DuckDB is needed and not installed; a file is of no such kind, or is being
            written to; the query fails, takes too long or finds too much.
    """
    place = f"{table.path}: {key}.query"
    for each in (path, *beside.values()):
        _refuse_unfinished(each, place)
    if _kind(path) != "sqlite":
        return _of_duckdb(path, beside, table, place)
    if beside:
        raise DataError(f"{place}: over an SQLite database it takes no further files (beside)")
    return _of_sqlite(path, table, place)


def _refuse_unfinished(path: Path, place: str) -> None:
    for end in ("-wal", "-journal", ".wal"):
        beside = path.with_name(path.name + end)
        if beside.is_file() and beside.stat().st_size:
            raise DataError(
                f"{place}: a program is writing to the database (a file ending in {end} lies "
                "beside it); close the program, or name a copy that was made by a backup"
            )


def _kind(path: Path) -> str:
    """By what a file begins with: sqlite, duckdb or nothing."""
    with path.open("rb") as file:
        start = file.read(16)
    return next(
        (kind for sign, kind in _SIGNS.items() if sign in (start, start[_DUCK_AT:][:4])), ""
    )


def _of_sqlite(path: Path, table: Table, place: str) -> Cells:
    ends = time.monotonic() + _SECONDS
    # immutable: nothing is written beside the database, and nobody is waited for.
    with closing(sqlite3.connect(f"file:{quote(str(path))}?immutable=1", uri=True)) as database:
        database.set_authorizer(
            lambda action, *_: sqlite3.SQLITE_OK if action in _READING else sqlite3.SQLITE_DENY
        )
        database.set_progress_handler(lambda: int(time.monotonic() > ends), 100_000)
        try:
            found = database.execute(str(table.query))
            names = [each[0] for each in found.description or ()]
            parts = []
            while part := found.fetchmany(_PART):
                parts += part
                _refuse_much(len(parts), len(names), place)
        except sqlite3.DatabaseError as error:
            raise _failed(place, error, speaks_of_names=True) from None
        except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
            raise _failed(place, error) from None
    columns = list(zip(*parts, strict=True)) or [() for _ in names]
    bytes_in = {
        name for name, values in zip(names, columns, strict=True) if bytes in set(map(type, values))
    }
    kept = [(n, v) for n, v in zip(names, columns, strict=True) if n not in bytes_in]
    return Cells(
        names=[name for name, _ in kept],
        columns=[[as_text(value) for value in values] for _, values in kept],
        lines=list(range(1, len(parts) + 1)),
        counted=_COUNTED,
        unread=dict.fromkeys(bytes_in, "holds bytes, expected text or numbers"),
        numeric=frozenset(n for n, values in kept if not {str} & set(map(type, values))),
    )


def _of_duckdb(path: Path, beside: Mapping[str, Path], table: Table, place: str) -> Cells:
    try:
        import duckdb
        import pyarrow as pa
    except ImportError:
        raise DataError(f"{place}: needs DuckDB, by an extra: {INSTALL}") from None

    with closing(duckdb.connect(":memory:", config=_SETTINGS)) as database:
        ends = threading.Timer(_SECONDS, database.interrupt)
        ends.daemon = True
        ends.start()
        try:
            _open_files(database, path, beside, table, place)
            statements = database.extract_statements(str(table.query))
            if [each.type for each in statements] != [duckdb.StatementType.SELECT]:
                raise DataError(f"{place}: expected one SELECT, and nothing else")
            reader = database.sql(str(table.query)).to_arrow_reader(_PART)
            parts, rows = [], 0
            for part in reader:
                parts.append(part)
                rows += part.num_rows
                _refuse_much(rows, part.num_columns, place)
            found = pa.Table.from_batches(parts, reader.schema)
        except (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException) as error:
            raise _failed(place, error, speaks_of_names=True) from None
        except (duckdb.Error, RuntimeError, ValueError) as error:
            raise _failed(place, error) from None
        finally:
            ends.cancel()
    return replace(cells_of_arrow(found), counted=_COUNTED)


def _open_files(
    database: Any, path: Path, beside: Mapping[str, Path], table: Table, place: str
) -> None:
    """Give the query its files, and then nothing else."""
    files = {**({} if _kind(path) == "duckdb" else {path.stem: path}), **beside}
    if not files or path not in files.values():
        database.execute(f"ATTACH {_quoted(path)} AS source (READ_ONLY)")
        database.execute("USE source")
    allowed = ", ".join(map(_quoted, files.values()))
    database.execute(f"SET allowed_paths = [{allowed}]")
    database.execute("SET enable_external_access = false")
    for name, file in files.items():
        suffix, own = file.suffix.lower(), file == path
        if any(sign in str(file) for sign in "*?["):
            raise DataError(f"{place}: a path holds *, ? or [, which a query takes for many files")
        if suffix == ".parquet":
            source = f"read_parquet({_quoted(file)})"
        elif suffix in (".csv", ".tsv", ".txt"):
            sign = separator_of(table) if own else ("\t" if suffix == ".tsv" else ",")
            # As text: nothing is guessed, and an id keeps its zeros.
            source = (
                f"read_csv({_quoted(file)}, all_varchar = true, header = true, quote = '\"', "
                f"escape = '\"', delim = {_quoted(sign)})"
            )
        else:
            raise DataError(
                f"{place}: '{name}' is no file that a query reads; expected .csv, .tsv, .txt, "
                ".parquet, or at path a DuckDB or SQLite database"
            )
        quoted = name.replace('"', '""')
        database.execute(f'CREATE TEMP VIEW "{quoted}" AS SELECT * FROM {source}')
    database.execute("SET lock_configuration = true")


def _quoted(text: object) -> str:
    return "'" + str(text).replace("'", "''") + "'"


def _refuse_much(rows: int, columns: int, place: str) -> None:
    if rows * columns > MOST_CELLS:
        raise DataError(
            f"{place}: finds more than {MOST_CELLS // 1_000_000} million cells; ask for the "
            "columns and rows that are needed, or export Parquet"
        )


def _failed(place: str, error: Exception, *, speaks_of_names: bool = False) -> DataError:
    """What an error says is shown where it speaks of the query and names, never of values."""
    lines = str(error).strip().splitlines() if speaks_of_names else []
    said = f": {lines[0]}" if lines else ", on a value, or since it takes too long or much memory"
    return DataError(f"{place}: fails ({type(error).__name__}){said}")
