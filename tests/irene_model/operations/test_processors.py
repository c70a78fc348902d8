"""How many processors a process may use, by affinity and by control groups of both kinds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from irene_model.operations.processors import usable_processors

ALLOWED = len(os.sched_getaffinity(0))
V2, V1 = "0::/a/b\n", "4:cpu,cpuacct:/a/b\n2:memory:/a/b\n"
QUOTA, PERIOD = "cpu/a/cpu.cfs_quota_us", "cpu/a/cpu.cfs_period_us"


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        (V2, {"a/b/cpu.max": "50000 100000\n"}, 1),
        (V2, {"a/cpu.max": "100000 100000\n", "a/b/cpu.max": "max 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "90000 100000\n"}, 1),
        (V2, {"cpu.max": "100000 100000\n"}, 1),
        (V2, {"a/b/cpu.max": f"{ALLOWED * 900000} 100000\n"}, ALLOWED),
        (V2, {"a/b/cpu.max": "max 100000\n"}, ALLOWED),
        (V2, {}, ALLOWED),
        (V1, {QUOTA: "100000\n", PERIOD: "100000\n"}, 1),
        (V1, {QUOTA: "-1\n", PERIOD: "100000\n"}, ALLOWED),
        ("", {}, ALLOWED),
        ("nonsense\n1:\n::::\n", {"cpu.max": "-1 0 ü\n"}, ALLOWED),
        (V2, {"a/b/cpu.max": "100000 0\n"}, ALLOWED),
    ],
)
def test_a_quota_counts_where_there_is_one(
    tmp_path: Path, own: str, files: dict[str, str], expected: int
) -> None:
    (tmp_path / "own").write_text(own, encoding="utf-8")
    for name, text in files.items():
        path = tmp_path / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert usable_processors(tmp_path / "groups", tmp_path / "own") == expected


def test_a_process_that_is_bound_to_one_processor_uses_one() -> None:
    said = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from irene_model.operations import usable_processors; print(usable_processors())"
    )
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
