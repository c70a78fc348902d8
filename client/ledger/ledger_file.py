"""The ledger's file: durable SQLite, verified at every use; head and key beside it.

`entries` is the hash chain and append-only; `outbox` keeps the bytes of the newest two rounds of
each run and split. Whoever reads or writes gets a `Snapshot` whose chain and head were verified
under SQLite's lock, and which the site's journal does not contradict (`client.ledger.witnesses`),
so nothing is decided on a ledger that can't be trusted. All files are their owner's alone.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from client.ledger.durability import Survives
from client.ledger.head import Head, check_head, head_path, read_head, write_head
from client.ledger.history import History, Reservation, told_by
from client.ledger.ledger_key import key_path, key_sha256, new_key, read_key
from client.ledger.loss import Loss
from client.ledger.witnesses import Witnesses
from irene_model.errors import LedgerError, LedgerLost
from irene_model.journal import Entry, append, open_private, private_folder

_VERSION = 3  # raise when tables or entries change; kept in SQLite's user_version
_WITH_ATTEMPTS = 4  # from the first attempt on: an earlier release must not take it for damaged
_READ = (2, _VERSION, _WITH_ATTEMPTS)  # version 2 holds its key itself
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
    "nothing is trained; put the newest ledger, its head file, its key and the journal back "
    "together. If they are lost for good, `irene-client ledger accept-loss SITE.yaml` charges the "
    "whole budget and begins anew"
)
_GONE = "the ledger is gone but for its head file"
_CAUSES = {
    sqlite3.SQLITE_FULL: "the disk is full; free some space, nothing is lost",
    sqlite3.SQLITE_IOERR: "the disk refuses to read or write; see to it, nothing is lost",
    sqlite3.SQLITE_READONLY: "it is read-only; the client must be able to write file and folder",
    sqlite3.SQLITE_CANTOPEN: "it can't be opened; the client must be able to write file and folder",
    sqlite3.SQLITE_BUSY: "another client holds it; stop that client or try again",
}
_LOST = {
    sqlite3.SQLITE_NOTADB: "it is no ledger",
    sqlite3.SQLITE_CORRUPT: "it is damaged or was cut",
}


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A verified look at the ledger; within `LedgerFile.write` also the way to add to it."""

    chain: tuple[Entry, ...]
    history: History
    connection: sqlite3.Connection
    key: bytes
    journal: Head | None

    def append(self, kind: str, content: Mapping[str, object]) -> Entry:
        """Add an entry after those of the snapshot; at most one in a transaction."""
        if "attempt" in content:
            self.connection.execute(f"PRAGMA user_version = {_WITH_ATTEMPTS}")
        return _append(self.connection, self.chain, kind, content, self.journal)

    def kept(self, reservation: int) -> bytes | None:
        """The outbox's bytes of a released reservation; None where they are gone."""
        row = self.connection.execute(
            "SELECT payload FROM outbox WHERE reservation = ?", (reservation,)
        ).fetchone()
        return None if row is None else bytes(row[0])

    def keep(self, reservation: Reservation, payload: bytes) -> None:
        """Put bytes into the outbox; of the run and split it keeps those of one more round.

        A server whose newest checkpoint is damaged asks for its round again, when some sites have
        released the next one already. An attempt takes the place of the earlier ones at its round.
        """
        place = (reservation.run, reservation.split)
        newest = self.connection.execute(
            "SELECT reservation FROM outbox WHERE run = ? AND split = ?", place
        ).fetchone()
        rounds = {each.id: each.round for each in self.history.reservations}
        if newest is not None and rounds[newest[0]] != reservation.round:
            self.connection.execute(
                "UPDATE OR REPLACE outbox SET run = run || ? WHERE reservation = ?",
                (_BEFORE, newest[0]),
            )
        self.connection.execute(
            "INSERT OR REPLACE INTO outbox VALUES (?, ?, ?, ?)",
            (reservation.id, reservation.run, reservation.split, payload),
        )


@dataclass(frozen=True)
class LedgerFile:
    """One file, and the only way to it. witnesses: of the site; None for a path alone."""

    path: Path
    witnesses: Witnesses | None = None
    survives: Survives = Survives.POWER_LOSS

    def open(self, loss: Loss | None = None) -> None:
        """Create the file where there is none, and verify it.

        loss: what a new file is charged with, where it takes the place of a lost one. Without it
        LedgerError is raised where something shows that there was a ledger.
        """
        if loss is None:
            self.found()
        with self._connection() as connection:
            if self._version(connection) == 0:
                self._create(connection, loss or Loss())
            connection.execute("BEGIN")
            self._verified(connection)

    def found(self) -> bool:
        """Whether there is a ledger; LedgerLost where there is none and something shows one."""
        try:
            if not self._begun():
                self._check_first_start()
        except LedgerLost:
            if not self._begun():  # else another process began it meanwhile
                raise
        except OSError as error:
            raise self._unreachable(error) from None
        return self._begun()

    def _check_first_start(self) -> None:
        if head_path(self.path).exists():
            raise self._lost(_GONE)
        self._vouched(None)

    def _begun(self) -> bool:
        return self.path.exists() and (self.path.is_dir() or self.path.stat().st_size > 0)

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
            now = self._verified(connection)
            yield now
            connection.execute("COMMIT")
            known = Head.of(now.chain[-1])
            if connection.total_changes or read_head(head_path(self.path)) != known:
                self._advance_head(connection)

    def _verified(self, connection: sqlite3.Connection) -> Snapshot:
        if self._version(connection) == 0:  # removed or emptied under an open client
            raise self._lost(_GONE)
        rows = connection.execute(f"SELECT {_COLUMNS} FROM entries ORDER BY sequence").fetchall()
        try:
            chain, history = told_by(tuple(rows))
            # After the rows: our lock keeps out commits, so the head can't be ahead of them.
            check_head(read_head(head_path(self.path)), chain)
            key = history.old_key or read_key(key_path(self.path), history.key_sha256)
        except ValueError as error:
            raise self._lost(error) from None
        return Snapshot(
            chain=chain,
            history=history,
            connection=connection,
            key=key,
            # After the rows: what the journal lists was committed here before.
            journal=self._vouched(history),
        )

    def _vouched(self, history: History | None) -> Head | None:
        """The journal's newest line; LedgerLost where a witness contradicts `history`."""
        try:
            return None if self.witnesses is None else self.witnesses.check(history)
        except ValueError as error:
            raise self._lost(error) from None

    def _lost(self, what: object) -> LedgerLost:
        return LedgerLost(f"{self.path}: {what}; {_REMEDY}")

    def _create(self, connection: sqlite3.Connection, loss: Loss) -> None:
        connection.execute("BEGIN IMMEDIATE")
        if self._version(connection) != 0:  # another process was quicker
            connection.execute("ROLLBACK")
            return
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise LedgerError(
                f"{self.path}: no ledger, or one of another version; leave it as it is and name a "
                "file of its own in site.yaml (`ledger`)"
            )
        if head_path(self.path).exists():
            raise self._lost(_GONE)
        mark = self._vouched(History.of_loss(loss) if loss else None)
        key = new_key(key_path(self.path))
        for statement in _SCHEMA:
            connection.execute(statement)
        opened = _append(connection, (), "opened", {"key_sha256": key_sha256(key)}, mark)
        if loss:
            _append(connection, (opened,), "loss", loss.content(), mark)
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
            write_head(path, newest, durable=self.survives is Survives.POWER_LOSS)
        connection.execute("ROLLBACK")

    def _unreachable(self, error: OSError) -> LedgerError:
        return LedgerError(
            f"{self.path}: the ledger's folder or one of its files can't be read or written "
            f"({error.strerror}); see to it, nothing is lost"
        )

    def _failure(self, error: sqlite3.Error) -> LedgerError:
        """What to do about it; SQLite's extended codes keep the primary one in the lowest byte."""
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in _LOST:
            return self._lost(_LOST[code])
        cause = _CAUSES.get(code, f"the ledger can't be read or written ({error})")
        return LedgerError(f"{self.path}: {cause}")

    def _version(self, connection: sqlite3.Connection) -> int:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, *_READ):
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
                private_folder(self.path.parent)
                # Before SQLite makes it with what the umask allows; its journal takes this mode.
                os.close(open_private(self.path, os.O_RDONLY))
                connection = stack.enter_context(
                    contextlib.closing(
                        sqlite3.connect(self.path, timeout=_LOCK_S, isolation_level=None)
                    )
                )
                connection.execute(f"PRAGMA synchronous = {self.survives.synchronous}")
                yield connection
            except sqlite3.Error as error:
                raise self._failure(error) from None
            except OSError as error:
                raise self._unreachable(error) from None


def _append(
    connection: sqlite3.Connection,
    chain: tuple[Entry, ...],
    kind: str,
    content: Mapping[str, object],
    journal: Head | None,
) -> Entry:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    mark = {} if journal is None else {"journal": str(journal)}
    entry = append(chain, kind, {**content, **mark, "at": now})
    connection.execute(
        f"INSERT INTO entries ({_COLUMNS}) VALUES (:sequence, :kind, :content, :previous, :hash)",
        asdict(entry),
    )
    return entry
