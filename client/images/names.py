"""Where an image lies whose name is written otherwise on disk, and why another can't be found."""

import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal

# ü as one sign, and as u with dots: macOS writes the latter.
_FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")


def on_disk(path: Path) -> Path:
    """`path`, or the same name in another of Unicode's forms if only that is there."""
    if _is_there(path):
        return path
    forms = (Path(unicodedata.normalize(form, str(path))) for form in _FORMS)
    return next((each for each in forms if _is_there(each)), path)


def why_missing(path: Path) -> str:
    """The cause for an image that is not there."""
    said = "can't be found by columns.image.pattern"
    if path.is_symlink():
        return "is a link to a file that is not there"
    slashed = Path(str(path).replace("\\", "/"))
    if slashed != path and _is_there(slashed):
        return f"{said}: it is written with \\ and the file lies at /; write / in the table"
    if (folded := path.name.casefold()) and folded in _folded_names(path.parent):
        return f"{said}: upper and lower case differ from the file's name; write it alike"
    return f"{said}; leave the cell empty if there is no image"


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long, a folder that may not be read
        return False


@lru_cache(maxsize=8)
def _folded_names(folder: Path) -> Mapping[str, None]:
    """Names in a folder without regard to case; a folder that can't be listed has none."""
    try:
        return dict.fromkeys(each.name.casefold() for each in folder.iterdir())
    except (OSError, ValueError):
        return {}
