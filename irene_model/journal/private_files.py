"""Files and folders that are for their owner alone, whatever the umask: the one way to make them.

A file has mode 0600 and a folder 0700 from the moment that it is there. One that an earlier release
or another program made more open is tightened where it is opened; what belongs to another account,
and a folder that all accounts share (its sticky bit says so, as of /tmp), is left as it is.
"""

import os
import stat
from itertools import takewhile
from pathlib import Path

_OTHERS = 0o077


def private_folder(path: Path) -> Path:
    """Make the folder `path`, and what is missing above it, or tighten it; returns it."""
    missing = list(takewhile(lambda each: not each.exists(), (path, *path.parents)))
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
    tighten(path)
    return path


def open_private(path: Path, flags: int) -> int:
    """A descriptor of the file `path`, which is made where it is missing; `flags` as of os.open."""
    descriptor = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        status = os.fstat(descriptor)
        if _too_open(status):
            os.fchmod(descriptor, stat.S_IMODE(status.st_mode) & ~_OTHERS)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def write_private(path: Path, content: bytes, *, part: str = "part", durable: bool = True) -> None:
    """Replace the file: a reader, and if `durable` a crash, sees the old content or the new.

    part: how the unfinished file's name ends; writers that don't wait for each other differ in it.
    """
    unfinished = path.with_name(f"{path.name}.{part}")
    with os.fdopen(open_private(unfinished, os.O_WRONLY | os.O_TRUNC), "wb") as file:
        file.write(content)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    unfinished.replace(path)
    if durable:
        sync(path.parent)


def tighten(path: Path) -> None:
    """Take away what `path` allows to other accounts, if it is this account's and is there."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return
    if _too_open(status):
        path.chmod(stat.S_IMODE(status.st_mode) & ~_OTHERS)


def tighten_all(folder: Path) -> None:
    """`tighten` the folder and all that is in it, as other programs wrote it."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            tighten(path)


def sync(path: Path) -> None:
    """Have the disk write what lies at `path`, a file or a folder's list of names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _too_open(status: os.stat_result) -> bool:
    shared = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
    return bool(status.st_mode & _OTHERS) and status.st_uid == os.geteuid() and not shared
