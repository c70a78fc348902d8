"""An environment for a peer, made once in a cache folder: its version, on our versions of torch."""

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_CHECKOUT = Path(__file__).parents[2]
_PINS = _CHECKOUT / "constraints.txt"
_OF_THE_MODEL = ("torch", "opacus", "transformers", "numpy", "pydantic", "pyyaml", "lazy_loader")


class DoesNotInstallError(Exception):
    """Why, in one line."""


def python_of(peer: str, cache: Path) -> Path:
    """The Python of an environment with `peer` (NAME==VERSION) and with what the model needs.

    DoesNotInstallError where the package index or this Python has no such package.
    """
    key = hashlib.sha256(f"{sys.version}{peer}{_PINS.read_text()}".encode()).hexdigest()[:12]
    folder = cache / f"{peer.partition('==')[0]}-{key}"
    python = folder / "bin/python"
    if not (folder / "ready").exists():
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        try:
            _run([*pip, "-c", str(_PINS), peer, *_OF_THE_MODEL])
        except subprocess.CalledProcessError as error:
            raise DoesNotInstallError(why(peer, error.stderr)) from None
        (folder / "ready").touch()
    return python


def why(peer: str, told: str) -> str:
    """pip's reason in one line."""
    version = re.escape(peer.partition("==")[2])
    if wanted := re.search(rf"[ ;]{version} Requires-Python ([^;\n]+)", told):
        here = ".".join(map(str, sys.version_info[:2]))
        return f"{peer} is for Python {wanted[1].strip()}, and this is {here}"
    errors = [line for line in told.splitlines() if line.startswith("ERROR: ")]
    return (errors or ["ERROR: pip said nothing"])[-1].removeprefix("ERROR: ")[:200]


def environment(told: Path, **more: str) -> dict[str, str]:
    """Of a job's processes: one thread each, our packages beside its own, no reports to anybody."""
    return {
        **os.environ,
        "PYTHONPATH": str(_CHECKOUT),
        "OMP_NUM_THREADS": "1",
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "PEERS_TOLD": str(told),
        **more,
    }


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
