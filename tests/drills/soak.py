"""Many rounds of a real federation with four hospitals, and whether anything grows.

    python -m tests.drills.soak --rounds 500

Coordinator, gateway and nodes are started by the commands that people type. At each tenth of the
run, memory, open files and processes of each service are counted, and the bytes on both sides'
disks; what a first tenth needs to warm up is not judged. Nothing may grow from then on but the
disk, and that by no more than lets a thousand rounds stay under 2 GB on each side.
"""

import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer
from transformers.utils.logging import disable_progress_bar

from irene_model.console.console import new_app, run_app
from tests.helpers.federations.demo_rounds import demo_rounds
from tests.helpers.federations.deployed import Deployed, Sample

disable_progress_bar()
MOST_BYTES, OF_ROUNDS = 2_000_000_000, 1_000
_MORE_MEMORY, _MORE_FILES, _MORE_PROCESSES = 24 * 2**20, 8, 1
_SHARE = 0.1


@dataclass(frozen=True, kw_only=True)
class Found:
    """One thing that was judged."""

    what: str
    early: float
    late: float
    good: bool

    def __str__(self) -> str:
        verdict = "stays" if self.good else "GROWS"
        return f"{verdict}  {self.what}: {self.early:,.0f} early, {self.late:,.0f} late"


def judge(samples: Sequence[Sample]) -> list[Found]:
    """What the halves of the run say, after its first tenth.

    Medians of each half: a service may be at work when it is looked at.
    """
    steady = samples[max(1, round(_SHARE * len(samples))) :]
    half = len(steady) // 2
    early, late = steady[:half], steady[half:]
    found = []
    for name in late[-1].uses:
        for what, most in (
            ("bytes", _MORE_MEMORY), ("files", _MORE_FILES), ("processes", _MORE_PROCESSES),
        ):  # fmt: skip
            a, b = (_median(part, name, what) for part in (early, late))
            more = max(most, _SHARE * a) if what == "bytes" else most
            found.append(Found(what=f"{name}, {what}", early=a, late=b, good=b - a <= more))
    for side in ("coordinator", "hospital"):
        found.append(_disk(steady, side))
    return found


def _median(samples: Sequence[Sample], name: str, what: str) -> float:
    return statistics.median(getattr(s.uses[name], what) for s in samples if name in s.uses)


def _disk(samples: Sequence[Sample], side: str) -> Found:
    """What a thousand rounds leave, if the others are as these."""
    first, last = samples[len(samples) // 2], samples[-1]
    each = (getattr(last, side) - getattr(first, side)) / max(1, last.round - first.round)
    whole = getattr(last, side) + max(0.0, each) * (OF_ROUNDS - last.round)
    return Found(
        what=f"{side}, bytes on disk, {each:,.0f} a round: now, and after {OF_ROUNDS} rounds",
        early=getattr(last, side),
        late=whole,
        good=whole <= MOST_BYTES,
    )


app = new_app("Many rounds of a real federation, and whether anything grows.\n")


@app.command()
def main(
    *,
    rounds: Annotated[int, typer.Option(min=20, help="Rounds of the run.")] = 500,
    patients: Annotated[int, typer.Option(min=80, help="Of all hospitals together.")] = 600,
) -> None:
    """Exit code 1 where something grows."""
    with tempfile.TemporaryDirectory() as scratch:
        federation = Deployed(folder=Path(scratch), scenario=demo_rounds(rounds, patients=patients))
        samples: list[Sample] = []
        try:
            federation.start()
            for sample in federation.rounds_of("soak"):
                samples.append(sample)
                if sample.round % max(1, rounds // 10) == 0:
                    typer.echo(told(samples))
        finally:
            federation.end()
    found = judge(samples)
    for each in found:
        typer.echo(str(each))
    raise typer.Exit(0 if all(each.good for each in found) else 1)


def told(samples: Sequence[Sample]) -> str:
    """One line on the newest sample."""
    last = samples[-1]
    gaps = [b.at - a.at for a, b in pairwise(samples)] or [0.0]
    memory = sum(use.bytes for use in last.uses.values()) / 2**20
    files = sum(use.files for use in last.uses.values())
    processes = sum(use.processes for use in last.uses.values())
    return (
        f"round {last.round}: median {statistics.median(gaps):.1f} s, {memory:,.0f} MiB, "
        f"{files} files, {processes} processes, {last.coordinator / 1e6:.1f} MB at the "
        f"coordinator, {last.hospital / 1e6:.1f} MB at a hospital"
    )


if __name__ == "__main__":
    run_app(app)
