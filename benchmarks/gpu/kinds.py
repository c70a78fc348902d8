"""What precision, attention and compilation each cost or win, to choose the defaults by.

All of it is the step without privacy, forward and backward, one setting against the product's.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from unittest.mock import patch

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

import irene_model.network.attention
from benchmarks.gpu.cases import Steps, new_model, patients
from benchmarks.gpu.section import PLAIN, Asked, Line, attempted
from benchmarks.gpu.turns import Step, release, take_turns, timed, turns_that_fit

_SECTION, _COMPILE = "kinds", "compile"
_AS_IT_IS = "bf16, PyTorch's choice"
_BACKENDS = {
    "the memory-efficient kernel": SDPBackend.EFFICIENT_ATTENTION,
    "cuDNN's kernel": SDPBackend.CUDNN_ATTENTION,
    "the flash kernel": SDPBackend.FLASH_ATTENTION,
    "products (SDPA)": SDPBackend.MATH,
}
Around = Callable[[], AbstractContextManager[object]]


def measure(asked: Asked) -> Iterator[Line]:
    """Precisions, then kinds of attention with and without gaps."""
    share = 1 / 3  # float32 keeps twice the activations, and explicit attention more
    precisions: dict[str, tuple[bool, Around]] = {
        "float32": (False, lambda: _float32("ieee")),
        "float32, TF32": (False, lambda: _float32("tf32")),
        _AS_IT_IS: (True, nullcontext),
    }
    instead = Line(section=_SECTION, what="precision", variant="")
    yield from attempted(_beside(asked, "precision", precisions, share=share), instead)
    attentions: dict[str, tuple[bool, Around]] = {
        _AS_IT_IS: (True, nullcontext),
        "our own products": (True, _own_products),
    }
    for gaps in (True, False):
        what = f"attention {'with' if gaps else 'without'} gaps"
        usable = {name: (True, _with(backend)) for name, backend in _BACKENDS.items()}
        chosen, lacking = dict(attentions), {}
        for name, each in usable.items():
            why = _refused(asked, each, gaps=gaps)
            if why:
                lacking[name] = why
            else:
                chosen[name] = each
        instead = Line(section=_SECTION, what=what, variant="")
        yield from attempted(_beside(asked, what, chosen, share=share, gaps=gaps), instead)
        for name, why in lacking.items():
            yield Line(section=_SECTION, what=what, variant=name, note=why)


def compiled(asked: Asked) -> Iterator[Line]:
    """What torch.compile makes of both passes, and what the first call of it takes."""
    model = new_model(asked)
    records = asked.batch_for(PLAIN, share=0.5)
    batch = patients(asked, model.config, records)
    as_it_is, made = (
        Steps(PLAIN, model, batch),
        Steps(PLAIN, model, batch, called=torch.compile(model)),
    )
    for what, step, steps in (
        ("forward", made.forward, as_it_is.forward),
        ("forward+backward", made.gradient, as_it_is.gradient),
    ):
        first = timed(step, asked.device)
        yield Line(section=_COMPILE, what=what, variant="the first call", value=first, unit="s")
        turns = {_AS_IT_IS: steps, "compiled": step}
        seconds = take_turns(turns, seconds=asked.seconds, device=asked.device)
        yield from _lines(_COMPILE, f"{what}, batch {records}", records, seconds)


def _beside(
    asked: Asked,
    what: str,
    settings: Mapping[str, tuple[bool, Around]],
    *,
    share: float,
    gaps: bool = True,
) -> Iterator[Line]:
    model = new_model(asked)

    def new_steps(records: int) -> Mapping[str, Step]:
        batch = patients(asked, model.config, records, gaps=gaps)
        return {
            name: _inside(around, Steps(PLAIN, model, batch, bf16=bf16).gradient)
            for name, (bf16, around) in settings.items()
        }

    batch, seconds = turns_that_fit(
        new_steps,
        batch=asked.batch_for(PLAIN, share=share),
        seconds=asked.seconds,
        device=asked.device,
    )
    yield from _lines(_SECTION, f"{what}, batch {batch}", batch, seconds)
    release(asked.device)


def _lines(section: str, what: str, batch: int, seconds: Mapping[str, float]) -> Iterator[Line]:
    for name, taken in seconds.items():
        yield Line(
            section=section,
            what=what,
            variant=name,
            value=batch / taken,
            unit="records/s",
            ratio=taken / seconds[_AS_IT_IS],
            over=f"{_AS_IT_IS}, in time",
        )


def _inside(around: Around, step: Step) -> Step:
    def call() -> None:
        with around():
            step()

    return call


def _refused(asked: Asked, setting: tuple[bool, Around], *, gaps: bool) -> str:
    """Why a step can't be made so; empty if it can."""
    bf16, around = setting
    model = new_model(asked)
    steps = Steps(PLAIN, model, patients(asked, model.config, 1, gaps=gaps), bf16=bf16)
    try:
        with around():
            steps.gradient()
    except RuntimeError as error:
        return str(error).splitlines()[0][:120]
    return ""


@contextmanager
def _float32(precision: str) -> Iterator[None]:
    """Float32 products as they are, or on the matrix units with ten bits of mantissa."""
    places = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)  # type: ignore[attr-defined]
    before = [each.fp32_precision for each in places]
    try:
        for each in places:
            each.fp32_precision = precision
        yield
    finally:
        for each, known in zip(places, before, strict=True):
            each.fp32_precision = known


def _with(backend: SDPBackend) -> Around:
    return lambda: sdpa_kernel([backend])


def _own_products() -> AbstractContextManager[object]:
    """The path that a CPU takes: softmax of explicit products."""
    return patch.object(irene_model.network.attention, "_products_are_faster", lambda *_: True)
