"""How much memory each variant takes for the same batch, and the largest batch of each."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from benchmarks.gpu.cases import VARIANTS, Silence, Steps, new_model, patients
from benchmarks.gpu.section import LARGEST, PLAIN, Asked, Line, attempted
from benchmarks.gpu.turns import finish, release

_SECTION = "memory"
_SAME = (8, 32)  # records of the batches whose memory is compared, on a GPU
_FEW = 2  # records to begin with where nothing is known
_SEARCH = 6.0  # times the seconds of a comparison
_LEFT_FREE = 2**29  # bytes of a GPU that a first guess leaves alone
_MEBI = 2**20
_FINE = 16  # the largest batch is known to a sixteenth
_SHORT = ("out of memory", "ALLOC_FAILED", "NOT_INITIALIZED")
"""What CUDA's libraries say where they find no memory for themselves."""
_GOALS = {"fused": "≥ 0.85"}


def measure(asked: Asked) -> Iterator[Line]:
    """Peak of a whole step at one batch, and the largest batch, of each variant."""
    if asked.on_gpu:
        fits(asked, PLAIN, 1)  # what CUDA's libraries keep for good belongs to no variant
    same: dict[str, float] = {}
    most: dict[str, int] = {}
    for variant in VARIANTS:
        instead = Line(section=_SECTION, what=LARGEST, variant=variant)
        yield from attempted(_of(asked, variant, same, most), instead)


def _of(asked: Asked, variant: str, same: dict[str, float], most: dict[str, int]) -> Iterator[Line]:
    first, growth, known = _FEW, 2.0, 0
    if asked.on_gpu:
        peaks = [_peak(asked, variant, min(records, asked.most)) for records in _SAME]
        same[variant] = peaks[-1] / _MEBI
        yield Line(
            section=_SECTION,
            what=f"peak of a step of {min(_SAME[-1], asked.most)}",
            variant=variant,
            value=same[variant],
            unit="MiB",
            ratio=same[variant] / same[PLAIN] if PLAIN in same else None,
            over=PLAIN,
        )
        first, growth, known = _guess(asked, peaks), 1.1, min(_SAME[-1], asked.most)
    found = largest(
        lambda records: fits(asked, variant, records),
        first=min(first, asked.most),
        most=asked.most,
        until=time.monotonic() + _SEARCH * asked.seconds,
        growth=growth,
        known=known,
    )
    most[variant] = found.records
    yield Line(
        section=_SECTION,
        what=LARGEST,
        variant=variant,
        value=found.records,
        unit="records",
        ratio=found.records / most[PLAIN] if most.get(PLAIN) else None,
        over=PLAIN,
        goal=_GOALS.get(variant, ""),
        note="" if found.bounded else "more may fit",
    )


def _peak(asked: Asked, variant: str, records: int) -> int:
    """Bytes of tensors at the most, beyond what was there before; OutOfMemoryError."""
    release(asked.device)
    torch.cuda.reset_peak_memory_stats(asked.device)
    before = torch.cuda.memory_allocated(asked.device)
    if not fits(asked, variant, records):
        raise torch.OutOfMemoryError(f"{records} records don't fit")
    return torch.cuda.max_memory_allocated(asked.device) - before


def _guess(asked: Asked, peaks: list[int]) -> int:
    """Records that should just fit if memory grows as it did between the two batches."""
    free, _ = torch.cuda.mem_get_info(asked.device)
    each = max(1.0, (peaks[1] - peaks[0]) / max(1, _SAME[1] - _SAME[0]))
    return max(_FEW, int(_SAME[1] + (free - _LEFT_FREE - peaks[1]) / each))


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


@dataclass(frozen=True, kw_only=True)
class Found:
    """records: 0 where not even one fits. bounded: whether one more than a sixteenth was tried and
    did not fit; False where time or the bound on records ended the search.
    """

    records: int
    bounded: bool


def largest(
    fits: Callable[[int], bool],
    *,
    first: int,
    most: int,
    until: float,
    growth: float = 2.0,
    known: int = 0,
    clock: Callable[[], float] = time.monotonic,
) -> Found:
    """The largest number of records up to `most` for which `fits` is true, found until `until`.

    It begins at `first`, and goes up or down by the factor `growth` until one fits and one does
    not; after an informed first guess a small factor is enough. `known` records are known to fit,
    and `fits` is taken to be true below any number for which it is true.
    """
    good, bad, asked = known, most + 1, min(max(known + 1, first), most)
    while clock() < until:
        if fits(asked):
            good = asked
        else:
            bad = asked
        if bad - good <= max(1, good // _FINE):
            break
        if bad > most:
            asked = min(max(good + 1, int(growth * good)), most)
        elif good == known:
            asked = max(known + 1, int(bad / growth))
        else:
            asked = (good + bad) // 2
    return Found(records=good, bounded=bad <= most and bad - good <= max(1, good // _FINE))
