"""Where a run's checkpoints lie: a folder a round, in the order of their numbers."""

import re
from pathlib import Path

_NAME = re.compile(r"round-(\d{4,})")


def place_of(folder: Path, round: int) -> Path:
    """The folder of a round's weights in `folder`, that of all checkpoints: as round-0003."""
    return folder / f"round-{round:04d}"


def rounds_in(folder: Path) -> list[int]:
    """The rounds whose checkpoints are whole, ascending: by number, since names are not as wide."""
    names = (_NAME.fullmatch(path.name) for path in folder.glob("round-*"))
    return sorted(int(name[1]) for name in names if name is not None)
