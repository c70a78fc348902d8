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
from benchmarks.gpu.section import PLAIN, Asked, Line, attempted, said
from benchmarks.gpu.turns import Step, release, take_turns, timed, turns_that_fit
from irene_model.network import IreneModel

_SECTION, _COMPILE = "kinds", "compile"
_AS_IT_IS = "default: bf16, fused"
_BACKENDS = {
    "efficient kernel": SDPBackend.EFFICIENT_ATTENTION,
    "cuDNN's kernel": SDPBackend.CUDNN_ATTENTION,
    "flash kernel": SDPBackend.FLASH_ATTENTION,
    "SDPA's products": SDPBackend.MATH,
}
_SHARE = 1 / 3  # float32 keeps twice the activations, and attention by products more
Around = Callable[[], AbstractContextManager[object]]
Setting = tuple[bool, Around]  # whether in bfloat16, and within what


def measure(asked: Asked) -> Iterator[Line]:
    """Precisions, then kinds of attention with and without gaps."""
    model = new_model(asked)
    precisions: dict[str, Setting] = {
        "float32": (False, lambda: _float32("ieee")),
        "float32, TF32": (False, lambda: _float32("tf32")),
        _AS_IT_IS: (True, nullcontext),
    }
    instead = Line(section=_SECTION, what="precision", variant="")
    yield from attempted(_beside(asked, model, "precision", precisions), instead)
    attentions: dict[str, Setting] = {
        _AS_IT_IS: (True, nullcontext),
        "own products": (True, _own_products),
        **{name: (True, _with(backend)) for name, backend in _BACKENDS.items()},
    }
    for gaps in (True, False):
        what = f"attention, {'' if gaps else 'no '}gaps"
        usable = dict(attentions)
        for name, (_, around) in attentions.items():
            if why := _refusal(asked, model, around, gaps=gaps):
                del usable[name]
                yield Line(section=_SECTION, what=what, variant=name, note=why)
        instead = Line(section=_SECTION, what=what, variant="")
        yield from attempted(_beside(asked, model, what, usable, gaps=gaps), instead)


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
    asked: Asked, model: IreneModel, what: str, settings: Mapping[str, Setting], gaps: bool = True
) -> Iterator[Line]:
    def new_steps(records: int) -> Mapping[str, Step]:
        batch = patients(asked, model.config, records, gaps=gaps)
        return {
            name: _inside(around, Steps(PLAIN, model, batch, bf16=bf16).gradient)
            for name, (bf16, around) in settings.items()
        }

    batch, seconds = turns_that_fit(
        new_steps,
        batch=asked.batch_for(PLAIN, share=_SHARE),
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
            over="default's time",
        )


def _inside(around: Around, step: Step) -> Step:
    def call() -> None:
        with around():
            step()

    return call


def _refusal(asked: Asked, model: IreneModel, around: Around, *, gaps: bool) -> str:
    """Why a step can't be made so; empty if it can."""
    steps = Steps(PLAIN, model, patients(asked, model.config, 1, gaps=gaps))
    try:
        with around():
            steps.gradient()
    except RuntimeError as error:
        return said(error)
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
