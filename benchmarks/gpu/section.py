"""What every section of the benchmark is given and gives: questions in, lines of a table out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

LARGEST = "largest batch"
"""The line of this name, for each variant, is what later sections are told."""
PLAIN = "irene"
_HEADROOM = 0.85  # two variants take turns in one process, and memory is cut into pieces by both
_UNKNOWN = 16


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is measured and on what; it travels to each section's process.

    device: as torch names it. seconds: of turns, for each comparison. most: records in a batch.
    batches: variant -> records of the largest batch that fits, as far as it is known.
    folder: an empty one, for what a section writes.
    """

    device: str
    preset: str
    seconds: float
    most: int
    folder: Path
    peak_tflops: float | None = None
    batches: Mapping[str, int] = field(default_factory=dict)

    @property
    def on_gpu(self) -> bool:
        """Whether there is anything to wait for."""
        return self.device.startswith("cuda")

    def batch_for(self, *variants: str, share: float = 1.0) -> int:
        """Records of a batch at which all `variants` fit beside each other, times `share`."""
        known = [self.batches[variant] for variant in variants if variant in self.batches]
        records = int(min(known, default=_UNKNOWN) * _HEADROOM * share)
        return max(1, min(records - records % 8 or records, self.most))


@dataclass(frozen=True, kw_only=True)
class Line:
    """One figure. ratio: over the same of the variant `over`. value: None where it has failed."""

    section: str
    what: str
    variant: str
    value: float | None = None
    unit: str = ""
    ratio: float | None = None
    over: str = ""
    goal: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Something about the machine, to be kept with the figures."""

    name: str
    value: str | float | int | None


def said(error: BaseException) -> str:
    """An error in one line; all data here is made up, so its words may be shown."""
    first, *_ = f"{type(error).__name__}: {error}".splitlines()
    return first[:200]


def attempted(lines: Iterator[Line], instead: Line) -> Iterator[Line]:
    """`lines`, or, where making them fails, what came before and `instead` with the reason."""
    try:
        yield from lines
    except Exception as error:
        yield replace(instead, note=said(error))
