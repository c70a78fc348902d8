"""Whatever ends the SuperNode's main thread ends its process, so that it can be started again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# In place of Flower's: a thread that would keep the process alive, then some kind of end.
PROGRAM = """
import sys, threading, time
import flwr.supernode.cli as flower
def flower_supernode():
    threading.Thread(target=time.sleep, args=(1000,)).start()
    print("started")
    {end}
flower.flower_supernode = flower_supernode
from client.node.supernode import main
sys.argv = ["supernode", sys.argv[1], "--superlink", "127.0.0.1:9"]
main()
"""


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("return", 1),  # after an answer that it did not expect
        ("raise RuntimeError('Failed to bind to address')", 1),
        ("sys.exit(0)", 0),
        ("sys.exit('words')", 1),
        ("import os; os.system('echo run')", 1),  # it starts no program at all
        ("import subprocess; subprocess.run(['flwr-clientapp'])", 1),
    ],
)
def test_the_process_ends_with_its_main_thread(end: str, code: int, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(end=end), str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (code, "started\n")
    assert ("Failed to bind" in done.stderr) == ("RuntimeError" in end)
    assert ("starts no program" in done.stderr) == ("import" in end)
