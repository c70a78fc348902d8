"""The ledger's file: SQLite with full durability, verified at every use, and its head beside it.

`entries` is the hash chain and append-only; `outbox` keeps the bytes of the newest two releases of
each run and split. Whoever reads or writes gets a `Snapshot` whose chain and head were verified
under SQLite's lock, so nothing is decided on a ledger that can't be trusted.
"""

import contextlib
import secrets
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from client.ledger.head import Head, check_head, head_path, read_head, write_head
from client.ledger.history import History, Reservation, replay
from irene_model.errors import LedgerError
from irene_model.operations import Entry, append, verify

_VERSION = 2  # raise when tables or entries change; kept in SQLite's user_version
_SCHEMA = (
    "CREATE TABLE entries (sequence INTEGER PRIMARY KEY, kind TEXT NOT NULL, "
    "content TEXT NOT NULL, previous TEXT NOT NULL, hash TEXT NOT NULL)",
    "CREATE TABLE outbox (reservation INTEGER PRIMARY KEY, run TEXT NOT NULL, "
    "split TEXT NOT NULL, payload BLOB NOT NULL, UNIQUE (run, split))",
    *(
        f"CREATE TRIGGER entries_{verb.lower()} BEFORE {verb} ON entries "
        "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
        for verb in ("UPDATE", "DELETE")
    ),
    f"PRAGMA user_version = {_VERSION}",
)
_COLUMNS = "sequence, kind, content, previous, hash"
_BEFORE = " (before)"  # marks the outbox's release before the newest; no run has such a name
_LOCK_S = 60  # how long another client may hold the ledger
_REMEDY = (
    "nothing is trained; put the newest ledger and its head file back together, and ask the "
    "coordinator which rounds came from this site"
)
_GONE = "the ledger is gone but for its head file"
_CAUSES = {
    sqlite3.SQLITE_FULL: "the disk is full; free some space, nothing is lost",
    sqlite3.SQLITE_IOERR: "the disk refuses to read or write; see to it, nothing is lost",
    sqlite3.SQLITE_READONLY: "it is read-only; the client must be able to write file and folder",
    sqlite3.SQLITE_CANTOPEN: "it can't be opened; the client must be able to write file and folder",
    sqlite3.SQLITE_BUSY: "another client holds it; stop that client or try again",
    sqlite3.SQLITE_NOTADB: f"it is no ledger: {_REMEDY}",
    sqlite3.SQLITE_CORRUPT: f"it is damaged or was cut: {_REMEDY}",
}


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A verified look at the ledger; within `LedgerFile.write` also the way to add to it."""

    chain: tuple[Entry, ...]
    history: History
    connection: sqlite3.Connection

    def append(self, kind: str, content: Mapping[str, object]) -> Entry:
        """Add an entry after those of the snapshot; at most one in a transaction."""
        return _append(self.connection, self.chain, kind, content)

    def kept(self, reservation: int) -> bytes | None:
        """The outbox's bytes of a released reservation; None where they are gone."""
        row = self.connection.execute(
            "SELECT payload FROM outbox WHERE reservation = ?", (reservation,)
        ).fetchone()
        return None if row is None else bytes(row[0])

    def keep(self, reservation: Reservation, payload: bytes) -> None:
        """Put bytes into the outbox; of the run and split it keeps those of one more release.

        A server whose newest checkpoint is damaged asks for its round again, when some sites have
        released the next one already.
        """
        self.connection.execute(
            "UPDATE OR REPLACE outbox SET run = run || ? "
            "WHERE run = ? AND split = ? AND reservation <> ?",
            (_BEFORE, reservation.run, reservation.split, reservation.id),
        )
        self.connection.execute(
            "INSERT OR REPLACE INTO outbox VALUES (?, ?, ?, ?)",
            (reservation.id, reservation.run, reservation.split, payload),
        )


@dataclass(frozen=True)
class LedgerFile:
    """One file, and the only way to it."""

    path: Path

    def open(self) -> None:
        """Create the file where there is none, and verify it."""
        with self._connection() as connection:
            if self._version(connection) == 0:
                self._create(connection)
        with self.read():
            pass

    @contextlib.contextmanager
    def read(self) -> Iterator[Snapshot]:
        """A verified snapshot; nobody commits while it is looked at."""
        with self._connection() as connection:
            connection.execute("BEGIN")
            yield self._verified(connection)

    @contextlib.contextmanager
    def write(self) -> Iterator[Snapshot]:
        """One writer at a time, from the first read on; committed whole or not at all.

        The head follows the commit. A crash or a full disk between the two loses nothing: the
        entry is there, and the next writer moves the head.
        """
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield self._verified(connection)
            connection.execute("COMMIT")
            self._advance_head(connection)

    def _verified(self, connection: sqlite3.Connection) -> Snapshot:
        if self._version(connection) == 0:  # removed or emptied under an open client
            raise LedgerError(f"{self.path}: {_GONE}; {_REMEDY}")
        rows = connection.execute(f"SELECT {_COLUMNS} FROM entries ORDER BY sequence").fetchall()
        chain = tuple(
            Entry(sequence=row[0], kind=row[1], content=row[2], previous=row[3], hash=row[4])
            for row in rows
        )
        try:
            verify(chain)
            # After the rows: our lock keeps out commits, so the head can't be ahead of them.
            check_head(read_head(head_path(self.path)), chain)
            history = replay(chain)
        except ValueError as error:
            raise LedgerError(f"{self.path}: {error}; {_REMEDY}") from None
        return Snapshot(chain=chain, history=history, connection=connection)

    def _create(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        if self._version(connection) == _VERSION:  # another process was quicker
            return
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise LedgerError(
                f"{self.path}: no ledger, or one of another version; leave it as it is and name a "
                "file of its own in site.yaml (`ledger`)"
            )
        if head_path(self.path).exists():
            raise LedgerError(f"{self.path}: {_GONE}; {_REMEDY}")
        for statement in _SCHEMA:
            connection.execute(statement)
        _append(connection, (), "opened", {"salt": secrets.token_hex(32)})
        connection.execute("COMMIT")
        self._advance_head(connection)

    def _advance_head(self, connection: sqlite3.Connection) -> None:
        # Under the lock again, so that of two clients the slower can't move the head back.
        connection.execute("BEGIN IMMEDIATE")
        sequence, hash = connection.execute(
            "SELECT sequence, hash FROM entries ORDER BY sequence DESC LIMIT 1"
        ).fetchone()
        newest, path = Head(sequence=sequence, hash=hash), head_path(self.path)
        if read_head(path) != newest:
            write_head(path, newest)
        connection.execute("ROLLBACK")

    def _version(self, connection: sqlite3.Connection) -> int:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, _VERSION):
            raise LedgerError(
                f"{self.path}: a ledger of version {version}, and this release reads version "
                f"{_VERSION}; use the release that wrote it"
            )
        return version

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection in autocommit; closing it takes back whatever was not committed."""
        with contextlib.ExitStack() as stack:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                connection = stack.enter_context(
                    contextlib.closing(
                        sqlite3.connect(self.path, timeout=_LOCK_S, isolation_level=None)
                    )
                )
                # EXTRA also syncs the folder when the journal goes, which is what commits.
                connection.execute("PRAGMA synchronous = EXTRA")
                yield connection
            except sqlite3.Error as error:
                raise LedgerError(f"{self.path}: {_cause(error)}") from None
            except OSError as error:
                raise LedgerError(
                    f"{self.path}: the ledger's folder or head file can't be read or written "
                    f"({error.strerror}); see to it, nothing is lost"
                ) from None


def _append(
    connection: sqlite3.Connection,
    chain: tuple[Entry, ...],
    kind: str,
    content: Mapping[str, object],
) -> Entry:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    entry = append(chain, kind, {**content, "at": now})
    connection.execute(
        f"INSERT INTO entries ({_COLUMNS}) VALUES (:sequence, :kind, :content, :previous, :hash)",
        asdict(entry),
    )
    return entry


def _cause(error: sqlite3.Error) -> str:
    """What to do about it; SQLite's extended codes keep the primary one in their lowest byte."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    return _CAUSES.get(code, f"the ledger can't be read or written ({error})")
