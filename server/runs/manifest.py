"""The sha256 of each file of a checkpoint: what a disk damaged is known before it is used."""

import hashlib
import json
from pathlib import Path

NAME = "manifest.json"


def write(folder: Path) -> None:
    """Write the manifest of all files that lie in `folder` now."""
    files = {path.name: _digest(path) for path in sorted(folder.iterdir())}
    text = json.dumps({"schema": 1, "sha256": files}, indent=2) + "\n"
    (folder / NAME).write_text(text, encoding="utf-8")


def problem_of(folder: Path) -> str | None:
    """What is wrong with the files in `folder`, in a few words; None where all are as written."""
    try:
        files = json.loads((folder / NAME).read_text(encoding="utf-8"))["sha256"]
        for name, digest in files.items():
            if _digest(folder / str(name)) != digest:
                return f"{name} is damaged: it is not what was written"
    except FileNotFoundError as error:
        return f"{Path(str(error.filename)).name} is missing"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"{NAME} or a file that it names can't be read"
    return None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
