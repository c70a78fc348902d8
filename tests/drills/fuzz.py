"""Thousands of broken files, one after another, in one process: what is not refused is a fault.

    python -m tests.drills.fuzz --count 20000 --seed 7

Each ends in a value, a counted rejection or one error of ours, within a minute and 2 GB. Input
number N of a seed is always the same: `--only N` breaks and reads it again, in its folder.
"""

import contextlib
import faulthandler
import json
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Annotated

import typer

from irene_model.console.console import new_app, run_app
from irene_model.errors import IreneError
from tests.helpers.fuzzing.formats import Format, formats

MOST_BYTES = 2_000_000_000
_MOST_S = 60
_LONGEST = 3000  # letters of a refusal: more is nothing to read
app = new_app("Broken files of every format, read as a hospital's are.\n")


def fault_of(kind: Format, folder: Path, rng: Random) -> tuple[str, str]:
    """What became of one broken input (read, refused or fault), and of a fault what it says."""
    path = kind.write_broken(folder, rng)
    try:
        kind.read(path)
    except IreneError as error:
        said = str(error)
        if not said.strip() or len(said) > _LONGEST or "\n" in said or not said.isprintable():
            return "fault", f"a refusal that is no clear sentence: {said[:300]!r}"
        return "refused", ""
    except Exception:
        return "fault", traceback.format_exc()
    return "read", ""


def run_inputs(
    numbers: Sequence[int], seed: int, folder: Path, only: Sequence[str] = ()
) -> dict[str, object]:
    """Counts of each format, faults by number, and the largest memory in bytes."""
    kinds = formats(folder)
    counts: dict[str, Counter[str]] = {name: Counter() for name in kinds}
    faults: dict[int, str] = {}
    # Once with all formats whole: what is imported on the way is no input's.
    for name, kind in kinds.items():
        for file, content in kind.valid.items():
            (folder / name / file).write_bytes(content)
        for file in kind.valid:
            kind.read(folder / name / file)
    warnings.simplefilter("error")
    slowest, began = (0.0, -1), time.process_time()
    for number in numbers:
        name = [*kinds][number % len(kinds)]
        if only and name not in only:
            continue
        (folder / "now").write_text(str(number), encoding="utf-8")
        faulthandler.dump_traceback_later(_MOST_S, exit=True)
        started = time.process_time()
        outcome, said = fault_of(kinds[name], folder / name, Random(f"{seed}-{number}"))
        slowest = max(slowest, (time.process_time() - started, number))
        counts[name][outcome] += 1
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        if memory > MOST_BYTES:
            said = said or "more memory than it may take"
        if said:
            faults[number] = f"{name}: {said}"
        if memory > MOST_BYTES:
            break
    faulthandler.cancel_dump_traceback_later()
    return {
        "counts": {name: dict(count) for name, count in counts.items()},
        "faults": faults,
        "memory": memory,
        "seconds": round(time.process_time() - began, 1),
        "slowest": slowest,
    }


@app.command()
def fuzz(
    *,
    count: Annotated[int, typer.Option(min=1, help="Inputs, of all formats in turn.")] = 2000,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 0,
    only: Annotated[int, typer.Option(help="Read this input alone; -1: all.")] = -1,
    folder: Annotated[Path | None, typer.Option(help="Where they are written; it is kept.")] = None,
    formats: Annotated[str, typer.Option(help="Names of formats, with commas; all.")] = "",
) -> None:
    """Break and read; the result is one line of JSON, and the exit code 1 if there is a fault.

    Example: `python -m tests.drills.fuzz --count 20000 --seed 7`
    """
    faulthandler.enable()
    numbers = range(count) if only < 0 else [only]
    with contextlib.ExitStack() as stack:
        place = folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        found = run_inputs(numbers, seed, place, formats.split(",") if formats else ())
    typer.echo(json.dumps(found))
    sys.exit(1 if found["faults"] else 0)


if __name__ == "__main__":
    run_app(app)
