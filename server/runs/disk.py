"""Writing a run's files: whole, on the disk where that is asked for, and clear where it is full."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError

from irene_model.errors import DiskError
from irene_model.journal import sync

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def clear_of_disk_errors(folder: Path) -> Iterator[None]:
    """A full disk, or one that can't be written, as one sentence that says what to do.

    Writers of tensors wrap the system's error in their own, so its text is looked at too.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        code = getattr(error, "errno", None)
        if code in _FULL or any(os.strerror(full) in str(error) for full in _FULL):
            free = shutil.disk_usage(folder).free // 2**20
            raise DiskError(
                f"{folder}: the disk is full ({free} MiB are free, or a quota is reached); nothing "
                "is lost: make room and resume the run"
            ) from None
        raise


def write_whole(path: Path, text: str, *, durable: bool) -> None:
    """Replace the file: a reader, and if `durable` a crash, sees the old text or the new."""
    work = path.with_name(path.name + ".partial")
    with clear_of_disk_errors(path.parent):
        work.write_text(text, encoding="utf-8")
        if durable:
            sync(work)
        work.replace(path)


def add_line(path: Path, line: str, *, durable: bool) -> None:
    """Add `line` to the file, which is made where it is missing."""
    with clear_of_disk_errors(path.parent), path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
        if durable:
            file.flush()
            os.fsync(file.fileno())
