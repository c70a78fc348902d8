"""Studies with sounds, and recordings for them."""

from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from irene_model.inputs.tensors import Batch
from irene_model.study.study import Study
from tests.helpers.hospital_folder import HospitalFolder
from tests.helpers.models import clipped_sums

SOUNDS: dict[str, Any] = {
    "sample_rate": 2000, "seconds": 2, "mels": 8, "patch": [4, 16], "positions": ["left", "right"],
}  # fmt: skip
"""2 positions, 2 bands, 3 times: 12 patches of 64 numbers."""


def study_with(**changes: Any) -> Study:
    """The study of `clipped_sums`, with sounds."""
    document = clipped_sums.STUDY.model_dump(mode="json")
    return Study.model_validate({**document, "sounds": SOUNDS, **changes})


def batch_of(size: int, seed: int = 0) -> Batch:
    """Random records of `study_with`, with every kind of gap."""
    g = torch.Generator().manual_seed(seed)
    sounds = {
        "sound_values": torch.randn(size, 12, 64, generator=g),
        "sound_mask": torch.rand(size, 12, generator=g) < 0.6,
    }
    return {**clipped_sums.batch_of(size, seed), **sounds}


def tone(seconds: float, hertz: float = 300.0, rate: int = 2000, level: float = 0.3) -> Any:
    """Samples of a tone in a little noise."""
    at = np.arange(int(seconds * rate)) / rate
    noise = 0.01 * np.random.default_rng(0).standard_normal(len(at))
    return (level * np.sin(2 * np.pi * hertz * at) + noise).astype(np.float32)


def record(path: Path, samples: Any, rate: int = 2000) -> None:
    path.parent.mkdir(exist_ok=True)
    soundfile.write(str(path), samples, rate, subtype="PCM_16")


def with_recordings(hospital: HospitalFolder) -> HospitalFolder:
    """A tone of its own for the left of each record; none at the right, nor of the last one."""
    rows = hospital.rows()
    for number, row in enumerate(rows):
        row["breath"] = f"r{number}" if row is not rows[-1] else ""
        if row["breath"]:
            wave = tone(2, hertz=100 + 20 * number)
            record(hospital.folder / "breath" / f"r{number}.wav", wave)
    hospital.write_rows(rows)
    hospital.configure("sounds", SOUNDS, "study.yaml")
    hospital.configure("sounds", {"left": {"column": "breath", "pattern": "breath/{}.wav"}})
    return hospital
