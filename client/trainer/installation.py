"""Which code is installed, in a few milliseconds: what runs must not be older than that."""

import hashlib
import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path

_PACKAGES = Path(__file__).resolve().parents[2]
_OURS = ("client", "irene_model")


def installed() -> str:
    """A hash of names, sizes and times of our files, and of what is installed beside them.

    Installing or removing a library changes the folder of libraries; a file that is being replaced
    gives a hash of its own.
    """
    found = hashlib.sha256()
    for package in _OURS:
        for line in sorted(_files(_PACKAGES / package)):
            found.update(line.encode())
    for name in ("purelib", "platlib"):
        found.update(_stamp(Path(sysconfig.get_path(name))).encode())
    return found.hexdigest()


def _files(folder: Path) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name != "__pycache__":
                        yield from _files(Path(entry.path))
                else:
                    yield _stamp(Path(entry.path))
    except OSError:
        yield f"{folder}: gone\n"


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return f"{path}: gone\n"
    return f"{path}: {status.st_size} {status.st_mtime_ns}\n"
