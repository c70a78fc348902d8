"""superlink.sqlite, what Flower remembers: whether a disk damaged it, and what to do then.

Nothing in it is irreplaceable: hospitals are registered anew from enrolled.json
(`server.coordinator.enrolment`), and runs go on from their own folders.
"""

import sqlite3
from pathlib import Path

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_BUSY_S = 2.0


def problem_of(path: Path) -> str | None:
    """What is wrong with the database at `path` and the remedy; None for one that can be used.

    One that is not there will be made. Takes the time to read it once.
    """
    if not path.exists():
        return None
    try:
        connection = sqlite3.connect(path, timeout=_BUSY_S)
        try:
            (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        if (getattr(error, "sqlite_errorcode", 0) & 0xFF) not in _DAMAGED:
            return None  # busy, or not to be read: the SuperLink will say so in its log
    else:
        if said == "ok":
            return None
    return (
        f"{path}: is damaged; irene-server stop, move it away with the files that begin with its "
        "name, and irene-server start: enrolled hospitals are registered anew, and runs go on"
    )
