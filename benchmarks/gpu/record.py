"""What was measured so far, written anew after each section: a run that is ended keeps it."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.gpu.bounded import Failure, Item
from benchmarks.gpu.section import LARGEST, Fact, Line


@dataclass(kw_only=True)
class Record:
    """seconds: what each section took. facts: of the machine. failures: by section."""

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
