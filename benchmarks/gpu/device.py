"""Which device this is, what it could do at most, and which software stands on it."""

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterator
from typing import Literal

import torch

from benchmarks.gpu.section import Asked, Fact, Line
from benchmarks.gpu.turns import take_turns

Kind = Literal["bf16", "tf32", "float32"]
_SECTION = "device"
_SQUARE = {True: 8192, False: 256}
# Dense TFLOP/s of bfloat16 and TF32 on the matrix units, and of float32 beside them, without
# sparsity and at the usual clocks: NVIDIA's data sheets. The first name that a device's name holds.
_PEAKS: tuple[tuple[str, tuple[float, float, float]], ...] = (
    ("H100 PCIe", (756.0, 378.0, 51.0)),
    ("H100 NVL", (835.0, 417.5, 60.0)),
    ("H100", (989.4, 494.7, 66.9)),
    ("H200", (989.4, 494.7, 66.9)),
    ("GH200", (989.4, 494.7, 66.9)),
    ("A100", (312.0, 156.0, 19.5)),
    ("A10G", (70.0, 35.0, 31.5)),
    ("A10", (125.0, 62.5, 31.2)),
    ("A40", (149.7, 74.8, 37.4)),
    ("L40S", (362.0, 183.0, 91.6)),
    ("L40", (181.0, 90.5, 90.5)),
    ("L4", (121.0, 60.0, 30.3)),
    ("RTX 4090", (165.2, 82.6, 82.6)),
    ("RTX 3090", (71.0, 35.6, 35.6)),
)


def peak(name: str, kind: Kind) -> float | None:
    """TFLOP/s that the device of this name could reach; None for one that is not known."""
    for part, (bf16, tf32, float32) in _PEAKS:
        if part in name:
            return {"bf16": bf16, "tf32": tf32, "float32": float32}[kind]
    return None


def peak_of(asked: Asked) -> float | None:
    """TFLOP/s in bfloat16: what was given, else what the device's name says."""
    return asked.peak_tflops or peak(name_of(asked), "bf16")


def name_of(asked: Asked) -> str:
    """The device's own name."""
    if asked.on_gpu:
        return torch.cuda.get_device_name(asked.device)
    return platform.processor() or platform.machine()


def measure(asked: Asked) -> Iterator[Line | Fact]:
    """Facts, and the speed of one large matrix product."""
    yield Fact(name="device", value=name_of(asked))
    yield Fact(name="driver", value=_driver() if asked.on_gpu else None)
    yield Fact(name="cuda", value=torch.version.cuda)
    if asked.on_gpu:
        properties = torch.cuda.get_device_properties(asked.device)
        yield Fact(name="memory_mib", value=properties.total_memory // 2**20)
        yield Fact(name="capability", value=f"{properties.major}.{properties.minor}")
        yield Fact(name="cudnn", value=torch.backends.cudnn.version())  # type: ignore[no-untyped-call]
    yield Fact(name="python", value=platform.python_version())
    for library in ("torch", "opacus", "transformers", "flwr", "numpy"):
        yield Fact(name=library, value=_version(library))
    yield Fact(name="processors", value=len(os.sched_getaffinity(0)))
    yield Fact(name="peak_tflops", value=peak_of(asked))
    tflops = best_tflops(asked)
    of_peak = peak_of(asked)
    yield Line(
        section=_SECTION,
        what="matrix product, bf16",
        variant=f"{_SQUARE[asked.on_gpu]} square",
        value=tflops,
        unit="TFLOP/s",
        ratio=None if of_peak is None else tflops / of_peak,
        over="peak",
    )


def best_tflops(asked: Asked) -> float:
    """Of one large product of two matrices of random bfloat16 numbers, the median of a second."""
    side = _SQUARE[asked.on_gpu]
    shape = (2, side, side)
    left, right = torch.randn(shape, device=asked.device, dtype=torch.bfloat16).unbind()
    seconds = min(1.0, asked.seconds)
    taken = take_turns({"": lambda: left @ right}, seconds=seconds, device=asked.device)
    return 2e-12 * side**3 / taken[""]


def _driver() -> str | None:
    try:
        command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.split("\n")[0].strip() or None


def _version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None
