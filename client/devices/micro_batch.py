"""How many patients a device holds at a time: as site.yaml says, or as many as fit.

What was found for a study, a device and a version of this program is kept beside the site's state:
a file of one number, which may be deleted at any time.
"""

import contextlib
import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from client.site import Memory
from irene_model import __version__
from irene_model.errors import ConfigError
from irene_model.journal import private_folder, write_private
from irene_model.study import Study

_log = logging.getLogger(__name__)
_FIRST, MOST = 8, 4096
_STEP = 8  # the largest is found to an eighth
# PyTorch has no class of its own for a processor's memory.
_OF_A_PROCESSOR = "can't allocate memory"


def out_of_memory(error: BaseException) -> bool:
    """Whether a device had no memory left."""
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and _OF_A_PROCESSOR in str(error)
    )


def largest_that_fits(fits: Callable[[int], bool], *, most: int) -> int:
    """The largest number from 1 to `most` that `fits`, to an eighth; 1 also where nothing does.

    Whatever is smaller than one that fits is taken to fit.
    """
    low = min(_FIRST, most)
    if fits(low):
        while low < most and fits(min(2 * low, most)):
            low = min(2 * low, most)
        high = min(2 * low, most)  # does not fit, but where `low` is `most`
    else:
        low, high = max(1, low // 2), low
        while low > 1 and not fits(low):
            low, high = low // 2, low
    while high - low > max(1, low // _STEP):
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


@dataclass(kw_only=True)
class MicroBatch:
    """The size of now. place: where what was found is kept; None for a size that nobody sought."""

    size: int
    device: torch.device
    place: Path | None = None

    def halve(self) -> None:
        """After the device ran out of memory; a ConfigError where a single patient is too large."""
        if self.size == 1:
            raise ConfigError(
                f"device: {self.device}: its memory holds no single patient of this study beside "
                "the model; set memory.gradient_checkpointing: true, or name a device with more"
            )
        self.size = self.size // 2
        remedy = "" if self.place else "; lower memory.micro_batch in site.yaml to save this time"
        _log.warning("%s: out of memory, going on with %d patients at a time%s",
                     self.device, self.size, remedy)  # fmt: skip
        self.keep()

    def keep(self) -> None:
        """Note the size for the next round; a disk that takes nothing costs another search."""
        if self.place is not None:
            with contextlib.suppress(OSError):
                private_folder(self.place.parent)
                part = f"part-{self.device}".replace(":", "-")
                write_private(self.place, json.dumps(self.size).encode(), part=part, durable=False)


def micro_batch_for(
    memory: Memory,
    study: Study,
    device: torch.device,
    *,
    folder: Path | None,
    fits: Callable[[int], bool],
    search: bool | None = None,
) -> MicroBatch:
    """The size to begin with.

    fits: tries a number of patients. search: whether `auto` is to be tried out; by default on a
    GPU, since a processor's memory is the whole machine's, and there more at a time is no quicker.
    """
    if memory.micro_batch != "auto" or not (device.type == "cuda" if search is None else search):
        return MicroBatch(size=memory.usual_micro_batch, device=device)
    place = None if folder is None else folder / f"{_key(memory, study, device)}.json"
    known = None if place is None else _kept(place)
    found = MicroBatch(size=known or 1, device=device, place=place)
    if known is None:
        # Of the study and public: what was drawn is not.
        most = min(MOST, 2 * study.training.expected_batch)
        found.size = largest_that_fits(fits, most=most)
        _log.info("%s: %d patients fit at a time", device, found.size)
        found.keep()
    return found


def _key(memory: Memory, study: Study, device: torch.device) -> str:
    kind = str(device.type)
    if device.type == "cuda":
        facts = torch.cuda.get_device_properties(device)
        kind = f"{facts.name} {facts.total_memory}"
    known = [study.fingerprint, kind, memory.gradient_checkpointing]
    versions = [__version__, torch.__version__]
    return hashlib.sha256(json.dumps([*known, *versions]).encode()).hexdigest()[:32]


def _kept(place: Path) -> int | None:
    """The number in the file; None where there is none, or anything else."""
    try:
        with place.open("rb") as file:
            found = json.loads(file.read(16))
    except (OSError, ValueError):
        return None
    return found if type(found) is int and 1 <= found <= MOST else None
