"""Sections that hang, die and raise; they import nothing that takes time."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.gpu.bounded import run
from benchmarks.gpu.section import Asked, Fact, Line


def hangs(_asked: Asked) -> Iterator[Line]:
    child = subprocess.Popen(["sleep", "60"])
    yield Line(section="s", what="child", variant="v", value=child.pid)
    time.sleep(60)


def dies(_asked: Asked) -> Iterator[Fact]:
    yield Fact(name="seen", value=1)
    os.write(2, b"the driver said no\n")
    os._exit(3)


def raises(_asked: Asked) -> Iterator[Line]:
    raise ValueError("one line\nand another")
    yield


if __name__ == "__main__":
    asked = Asked(device="cpu", preset="tiny", seconds=0.01, most=1, folder=Path(sys.argv[1]))
    for name, fresh in (("hangs", False), ("dies", False), ("raises", False), ("raises", True)):
        found: list[object] = []
        place = f"tests.benchmarks.gpu.odd_sections:{name}"
        limit_s = 4.0 if name == "hangs" else 30.0
        failure = run(place, asked, limit_s=limit_s, tell=found.append, fresh=fresh)
        assert failure is not None
        values = [each.value for each in found]  # type: ignore[attr-defined]
        sys.stdout.write(repr((values, failure.reason, failure.details)) + "\n")
