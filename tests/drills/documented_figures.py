"""The tables of figures in the documentation, measured again by the commands that they name.

    python -m tests.drills.documented_figures                  # what takes a minute or so
    python -m tests.drills.documented_figures --list           # all, with their commands
    python -m tests.drills.documented_figures --most-minutes 15

`documented_figures.yaml` says for each table which command it follows from, and within what its
numbers must come out again. A row is found again where one line that the command prints has what
the row begins with, and its numbers in their order.
"""

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
import yaml

from irene_model.console.console import new_app, run_app
from tests.drills.documented_tables import CHECKOUT, Table, numbers, tables

app = new_app("The documentation's tables of figures, measured again.\n")


@dataclass(frozen=True, kw_only=True)
class Documented:
    """A table's command. tolerance: of its numbers; None where `why` says it is not compared."""

    table: str
    command: str
    minutes: float
    tolerance: float | None = None
    why: str | None = None


def documented() -> list[Documented]:
    """All that documented_figures.yaml lists."""
    path = Path(__file__).with_name("documented_figures.yaml")
    return [Documented(**entry) for entry in yaml.safe_load(path.read_text(encoding="utf-8"))]


def measured_again(entry: Documented) -> list[str]:
    """What the command of `entry` does not give again, in words; none is the good outcome."""
    assert entry.tolerance is not None
    table = next(each for each in tables() if each.name == entry.table)
    words = entry.command.split()
    settings = dict(word.split("=") for word in words if re.fullmatch(r"[A-Z_]+=\w+", word))
    command = [sys.executable if word == "python" else word for word in words[len(settings) :]]
    ran = subprocess.run(
        ["env", *(f"{key}={value}" for key, value in settings.items()), "COLUMNS=200", *command],
        cwd=CHECKOUT,
        check=False,
        capture_output=True,
        text=True,
    )
    if ran.returncode:
        return [f"{entry.command} failed: {ran.stderr.strip()[-200:]}"]
    return missing(table, ran.stdout.splitlines(), entry.tolerance)


def missing(table: Table, printed: Sequence[str], tolerance: float) -> list[str]:
    """The rows of `table` that no line of `printed` gives again."""
    return [
        f"{table.page}, line {table.line}: no line has {' | '.join(row)}"
        for row in table.rows
        if not any(_gives(line, row, tolerance) for line in printed)
    ]


def _gives(line: str, row: Sequence[str], tolerance: float) -> bool:
    begins = row[0].split(",")[0].strip("` ")
    if not re.search(rf"(?<![\w.]){re.escape(begins)}(?![\w])", line):
        return False
    left = iter(numbers(line.replace(begins, "", 1)))
    told = [number for cell in row[1:] for number in numbers(cell)]
    return bool(told) and all(
        any(abs(each - number) <= tolerance * max(1.0, abs(number)) for each in left)
        for number in told
    )


@app.command()
def main(
    *,
    most_minutes: Annotated[float, typer.Option(min=0, help="Longer ones are left out.")] = 5,
    list_: Annotated[bool, typer.Option("--list", help="Show all commands, run none.")] = False,
) -> None:
    """Measure again what can be compared; exit code 1 where something came out otherwise."""
    found: list[str] = []
    for entry in documented():
        typer.echo(f"{entry.minutes:3.0f} min  {entry.table[:80]}\n         {entry.command}")
        if entry.why is not None:
            typer.echo(f"         by hand: {entry.why}")
        elif not list_ and entry.minutes <= most_minutes:
            wrong = measured_again(entry)
            typer.echo("         " + ("; ".join(wrong) or "came out again"))
            found += wrong
    raise typer.Exit(1 if found else 0)


if __name__ == "__main__":
    run_app(app)
