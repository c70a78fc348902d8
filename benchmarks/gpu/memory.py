"""How much memory each variant takes for the same batch, and the largest batch of each."""

import time
from collections.abc import Iterator

import torch

from benchmarks.gpu.cases import VARIANTS, Silence, Steps, new_model, patients
from benchmarks.gpu.fitting import largest
from benchmarks.gpu.section import LARGEST, PLAIN, Asked, Line, attempted
from benchmarks.gpu.turns import finish, release

_SECTION = "memory"
_SAME = {True: 16, False: 2}  # records of the batch whose memory is compared
_SEARCH = 3.0  # times the seconds of a comparison
_MEBI = 2**20
_SHORT = ("out of memory", "ALLOC_FAILED", "NOT_INITIALIZED")
"""What CUDA's libraries say where they find no memory for themselves."""
_GOALS = {"fused": "≥ 0.85"}


def measure(asked: Asked) -> Iterator[Line]:
    """Peak of a whole step at one batch, and the largest batch, of each variant."""
    same: dict[str, float] = {}
    most: dict[str, int] = {}
    for variant in VARIANTS:
        instead = Line(section=_SECTION, what=LARGEST, variant=variant)
        if asked.on_gpu:
            yield from attempted(_peak(asked, variant, same), instead)
        yield from attempted(_largest(asked, variant, most), instead)


def fits(asked: Asked, variant: str, records: int) -> bool:
    """Whether a whole step of `records` patients finds memory; all of it is given back."""
    found = _tried(asked, variant, records)
    release(asked.device)  # an error's frames are gone by now
    return found


def _tried(asked: Asked, variant: str, records: int) -> bool:
    try:
        model = new_model(asked)
        steps = Steps(variant, model, patients(asked, model.config, records), noise=Silence())
        steps.whole()
        steps.whole()  # the second has all that stays between steps
        finish(asked.device)
    except torch.OutOfMemoryError:
        return False
    except RuntimeError as error:
        if not any(each in str(error) for each in _SHORT):
            raise
        return False
    return True


def _peak(asked: Asked, variant: str, known: dict[str, float]) -> Iterator[Line]:
    records = min(_SAME[asked.on_gpu], asked.most)
    release(asked.device)
    torch.cuda.reset_peak_memory_stats(asked.device)
    before = torch.cuda.memory_allocated(asked.device)
    fitted = fits(asked, variant, records)
    known[variant] = (torch.cuda.max_memory_allocated(asked.device) - before) / _MEBI
    yield Line(
        section=_SECTION,
        what=f"peak of a step of {records}",
        variant=variant,
        value=known[variant],
        unit="MiB",
        ratio=known[variant] / known[PLAIN] if PLAIN in known else None,
        over=PLAIN,
        note="" if fitted else "did not fit",
    )


def _largest(asked: Asked, variant: str, known: dict[str, int]) -> Iterator[Line]:
    found = largest(
        lambda records: fits(asked, variant, records),
        first=min(_SAME[asked.on_gpu], asked.most),
        most=asked.most,
        until=time.monotonic() + _SEARCH * asked.seconds,
    )
    known[variant] = found.records
    yield Line(
        section=_SECTION,
        what=LARGEST,
        variant=variant,
        value=found.records,
        unit="records",
        ratio=found.records / known[PLAIN] if known.get(PLAIN) else None,
        over=PLAIN,
        goal=_GOALS.get(variant, ""),
        note="" if found.bounded else "more may fit",
    )
