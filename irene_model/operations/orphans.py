"""What a killed process leaves behind, and how to end it: by mark, by group, by time of birth.

Linux only, by /proc; elsewhere nothing is found, and nothing is ended that was not started here.
"""

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

MARK = "IRENE_SUPERVISED"
"""The variable by which a service and all that it started are known."""
_PR_SET_PDEATHSIG = 1
_PATIENCE_S = 10.0
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def dies_with(parent: int) -> Callable[[], None] | None:
    """What a child does before it becomes its command: ask for SIGTERM when `parent` dies."""
    libc = ctypes.CDLL(None)  # loaded before the fork: nothing may be imported after it
    if not hasattr(libc, "prctl"):
        return None

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != parent:  # it died before the request
            os._exit(1)

    return ask


def end_leftovers(mark: str) -> None:
    """Kill every process that carries `mark`, until none is left to have started another."""
    wanted = f"{MARK}={mark}".encode()
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        marked = [pid for pid in _pids() if wanted in _environment(pid).split(b"\0")]
        if not marked:
            return
        for pid in marked:
            end_group(pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def end_group(leader: int) -> None:
    """Kill a group: a killed leader's workers live on, and some overwrite their environment."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def born(pid: int) -> str:
    """The boot and the kernel's start time of a living process, which name it for good; else ""."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = _BOOT.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()  # a command's name may hold spaces and brackets
    return "" if fields[0] in "ZX" else f"{boot} {fields[19]}"


def this_boot(birth: str) -> bool:
    """Whether what `born` once said is of the boot that runs now."""
    with contextlib.suppress(OSError):
        return birth.partition(" ")[0] == _BOOT.read_text(encoding="utf-8").strip()
    return False


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def _environment(pid: int) -> bytes:
    """Its environment; nothing of a zombie, of others' processes and where there is no /proc."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""
