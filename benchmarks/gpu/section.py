"""What every section of the benchmark is given and gives: questions in, lines of a table out."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a section gave no more lines; details: a traceback, or the end of what it printed."""

    reason: str
    details: str = ""


Item = Line | Fact


@dataclass(kw_only=True)
class Record:
    """What was measured so far, written anew after each section: a run that is ended keeps it.

    seconds: what each section took. facts: of the machine. failures: by section."""

    settings: dict[str, Any]
    facts: dict[str, object] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    failures: dict[str, Failure] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, item: Item) -> None:
        """One figure or fact."""
        if isinstance(item, Fact):
            self.facts[item.name] = item.value
        else:
            self.lines.append(item)

    @property
    def batches(self) -> dict[str, int]:
        """Records of the largest batch of each variant that has one."""
        return {e.variant: int(e.value) for e in self.lines if e.what == LARGEST and e.value}

    def write(self, path: Path) -> None:
        """All of it, whole or not at all."""
        partial = path.with_name(f"{path.name}.partial")
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False)
        partial.write_text(f"{text}\n", encoding="utf-8")
        partial.replace(path)


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
