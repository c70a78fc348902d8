"""The site's privacy ledger: durable, append-only, at most one release for each reservation.

The order is what protects patients: a reservation is on disk before training starts, and an
update's bytes are on disk, marked released, before any of them leaves. So a crash can leave a
charge without a release, never a release without a charge; and a round asked for again gets the
very same bytes, never a second noise for one charge. The budget counts every reservation on these
patients, over all runs and studies.
"""

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from client.site import Budget, Site
from irene_model.errors import BudgetExceeded, LedgerError
from irene_model.privacy import Mechanism, epsilon, epsilons

_SCHEMA = """
CREATE TABLE IF NOT EXISTS reservations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run TEXT NOT NULL,
    round INTEGER NOT NULL,
    noise_multiplier REAL NOT NULL,
    sample_rate REAL NOT NULL,
    steps INTEGER NOT NULL,
    clip_norm REAL NOT NULL,
    reserved_at TEXT NOT NULL,
    UNIQUE (run, round)
);
CREATE TABLE IF NOT EXISTS releases (
    reservation INTEGER PRIMARY KEY REFERENCES reservations (id),
    sha256 TEXT NOT NULL,
    released_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS outbox (
    reservation INTEGER PRIMARY KEY REFERENCES releases (reservation),
    payload BLOB NOT NULL
);
"""
_APPEND_ONLY = "".join(
    f"CREATE TRIGGER IF NOT EXISTS {table}_{verb.lower()} BEFORE {verb} ON {table} "
    f"BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;"
    for table in ("reservations", "releases")
    for verb in ("UPDATE", "DELETE")
)


@dataclass(frozen=True, kw_only=True)
class Reservation:
    """A durable charge for one round of one run; `released` says whether bytes may have left."""

    id: int
    run: str
    round: int
    mechanism: Mechanism
    clip_norm: float
    released: bool


class Ledger:
    """The ledger file of one site. Safe for several processes at once."""

    def __init__(self, path: Path, budget: Budget | None) -> None:
        """Open or create the ledger at `path`; `budget` None accepts releases without noise."""
        self._path = path
        self._budget = budget
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._connection() as connection:
                connection.executescript(_SCHEMA + _APPEND_ONLY)
        except (OSError, sqlite3.Error) as error:
            raise LedgerError(
                f"{path}: can't be opened as a ledger ({type(error).__name__})"
            ) from None

    @classmethod
    def of(cls, site: Site) -> "Ledger":
        """The ledger that site.yaml names, with its budget."""
        budget = None if site.budget == "none" else site.budget
        return cls(site.resolve(site.ledger), budget)

    def reserve(
        self, *, run: str, round: int, mechanism: Mechanism, clip_norm: float
    ) -> Reservation:
        """Charge `mechanism` to the budget, durably, before anything is trained.

        A round that was reserved before is returned as it stands, whether released or not, if it
        asks for the same mechanism. Raises BudgetExceeded where the composition of all
        reservations with this one would exceed the budget.
        """
        with self._transaction() as connection:
            earlier = self._find(connection, run, round)
            if earlier is not None:
                if (earlier.mechanism, earlier.clip_norm) != (mechanism, clip_norm):
                    raise LedgerError(
                        f"round {round} was reserved before with another mechanism; a round's "
                        "noise, sampling rate, steps and clip norm can't change"
                    )
                return earlier
            self._check(connection, mechanism)
            cursor = connection.execute(
                "INSERT INTO reservations "
                "(run, round, noise_multiplier, sample_rate, steps, clip_norm, reserved_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    run,
                    round,
                    mechanism.noise_multiplier,
                    mechanism.sample_rate,
                    mechanism.steps,
                    clip_norm,
                    _now(),
                ),
            )
            assert cursor.lastrowid is not None
            return Reservation(
                id=cursor.lastrowid,
                run=run,
                round=round,
                mechanism=mechanism,
                clip_norm=clip_norm,
                released=False,
            )

    def release(self, reservation: Reservation, payload: bytes) -> bytes:
        """Mark `reservation` as released and keep its bytes, in one durable transaction.

        Returns the bytes to send: those of an earlier release, where there was one. Only the
        newest release of a run keeps its bytes; older ones keep their hash.
        """
        with self._transaction() as connection:
            kept = connection.execute(
                "SELECT payload FROM outbox WHERE reservation = ?", (reservation.id,)
            ).fetchone()
            if kept is not None:
                return bytes(kept[0])
            try:
                connection.execute(
                    "INSERT INTO releases VALUES (?, ?, ?)",
                    (reservation.id, hashlib.sha256(payload).hexdigest(), _now()),
                )
            except sqlite3.IntegrityError:
                raise LedgerError(
                    f"round {reservation.round} was released and its bytes are gone; it can't be "
                    "released a second time"
                ) from None
            connection.execute(
                "DELETE FROM outbox WHERE reservation IN "
                "(SELECT id FROM reservations WHERE run = ?)",
                (reservation.run,),
            )
            connection.execute("INSERT INTO outbox VALUES (?, ?)", (reservation.id, payload))
            return payload

    def outbox(self, reservation: Reservation) -> bytes:
        """The bytes of a released reservation, to be sent again unchanged."""
        with self._connection() as connection:
            kept = connection.execute(
                "SELECT payload, sha256 FROM outbox JOIN releases USING (reservation) "
                "WHERE reservation = ?",
                (reservation.id,),
            ).fetchone()
        if kept is None:
            raise LedgerError(f"round {reservation.round} was released and its bytes are gone")
        payload = bytes(kept[0])
        if hashlib.sha256(payload).hexdigest() != kept[1]:
            raise LedgerError(f"round {reservation.round}: the kept bytes were changed")
        return payload

    def reservations(self, run: str | None = None) -> tuple[Reservation, ...]:
        """All reservations in order, or those of one run."""
        with self._connection() as connection:
            return self._select(connection, run)

    def epsilon(self, *, delta: float, run: str | None = None) -> float:
        """Epsilon of everything reserved at this site, or of one run."""
        return epsilon((r.mechanism for r in self.reservations(run)), delta=delta)

    def _check(self, connection: sqlite3.Connection, mechanism: Mechanism) -> None:
        if self._budget is None:
            return
        charged = [r.mechanism for r in self._select(connection, None)]
        after = epsilon([*charged, mechanism], delta=self._budget.delta)
        if after > self._budget.epsilon:  # only now ask the tighter accountant: it takes seconds
            after = epsilons([*charged, mechanism], delta=self._budget.delta).smallest
        if after > self._budget.epsilon:
            raise BudgetExceeded(
                f"the round would bring epsilon to {after:.2f} and the site's budget is "
                f"{self._budget.epsilon:g} at delta {self._budget.delta:g}"
            )

    def _find(self, connection: sqlite3.Connection, run: str, round: int) -> Reservation | None:
        return next((r for r in self._select(connection, run) if r.round == round), None)

    def _select(self, connection: sqlite3.Connection, run: str | None) -> tuple[Reservation, ...]:
        rows = connection.execute(
            "SELECT id, run, round, noise_multiplier, sample_rate, steps, clip_norm, "
            "releases.reservation IS NOT NULL "
            "FROM reservations LEFT JOIN releases ON releases.reservation = id "
            "WHERE ? IS NULL OR run = ? ORDER BY id",
            (run, run),
        )
        return tuple(
            Reservation(
                id=row[0],
                run=row[1],
                round=row[2],
                mechanism=Mechanism(noise_multiplier=row[3], sample_rate=row[4], steps=row[5]),
                clip_norm=row[6],
                released=bool(row[7]),
            )
            for row in rows
        )

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection in autocommit; EXTRA also syncs the folder when the journal goes."""
        connection = sqlite3.connect(self._path, timeout=60, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous = EXTRA")
            connection.execute("PRAGMA foreign_keys = ON")
            yield connection
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.IntegrityError):
                raise
            raise LedgerError(
                f"{self._path}: the ledger can't be read or written ({error})"
            ) from None
        finally:
            connection.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """One writer at a time, from the first read on; committed whole or not at all."""
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
