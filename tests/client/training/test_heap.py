"""What a process frees stays with it, once it trains."""

import platform
import subprocess
import sys

import pytest

_ROUNDS = """
import resource, sys
import numpy as np
from client.training.heap import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    parts = [np.ones(2**20) for _ in range(16)]  # 128 MiB
    del parts
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "keep":
    assert keep_freed_memory()
faults()
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_what_was_freed_is_not_asked_of_the_system_again() -> None:
    def again(how: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", _ROUNDS, how], capture_output=True, text=True, check=True
        )
        return int(done.stdout)

    kept, given_back = again("keep"), again("as it is")
    assert kept < 16 and given_back > 4 * kept  # with huge pages there are few of either
