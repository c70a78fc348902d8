"""The records that a hospital leaves out: a list in site.yaml, or a file with an id a line."""

from pathlib import Path
from typing import Any

from irene_model.errors import ConfigError


def with_excluded_ids(document: dict[str, Any], site_file: Path) -> dict[str, Any]:
    """`document` of site.yaml with the ids themselves where `exclude` names a file of them."""
    named = document.get("exclude")
    if not isinstance(named, str):
        return document
    path = site_file.resolve().parent / named
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            f"{site_file}: exclude: no such file; it is sought at {path}. Give a file with a "
            "record id on each line, or a list"
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{site_file}: exclude: the file can't be read as UTF-8 text ({type(error).__name__})"
        ) from None
    ids = [line.strip() for line in text.splitlines()]
    return {**document, "exclude": [each for each in ids if each]}
