"""What the commands take as a list with commas between."""

import typer


def names(given: str | None) -> list[str] | None:
    """`a, b` as a list; None where nothing was said, and a list of one empty name for `""`."""
    return None if given is None else [name.strip() for name in given.split(",")]


def numbers(option: str, given: str | None) -> list[float] | None:
    """`1, 2` as numbers; None where nothing was said."""
    try:
        return None if given is None else [float(name) for name in given.split(",")]
    except ValueError:
        raise typer.BadParameter(f"{option}: give numbers with commas between, as 1,2,4") from None
