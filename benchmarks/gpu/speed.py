"""The model against the plain transcription of its equations: passes, and use of the device."""

from collections.abc import Callable, Iterator, Mapping

from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu.cases import TRANSCRIPTION, Steps, new_model, patients
from benchmarks.gpu.device import best_tflops, peak_of
from benchmarks.gpu.section import PLAIN, Asked, Line
from benchmarks.gpu.turns import Step, turns_that_fit

_SECTION = "speed"
PASSES = ("forward", "forward+backward")


def measure(asked: Asked) -> Iterator[Line]:
    """Records a second of both in both passes, side by side, and what that is of the peak."""
    model = new_model(asked)
    work = operations(asked)

    def new_steps(records: int) -> Mapping[str, Step]:
        batch = patients(asked, model.config, records)
        found: dict[str, Callable[[], None]] = {}
        for variant in (TRANSCRIPTION, PLAIN):
            steps = Steps(variant, model, batch)
            found[variant + PASSES[0]] = steps.forward
            found[variant + PASSES[1]] = steps.gradient
        return found

    batch = asked.batch_for(TRANSCRIPTION, PLAIN)
    batch, seconds = turns_that_fit(
        new_steps, batch=batch, seconds=2 * asked.seconds, device=asked.device
    )
    for each in PASSES:
        for variant in (TRANSCRIPTION, PLAIN):
            taken = seconds[variant + each]
            ratio = seconds[TRANSCRIPTION + each] / taken
            yield Line(
                section=_SECTION,
                what=f"{each}, batch {batch}",
                variant=variant,
                value=batch / taken,
                unit="records/s",
                ratio=ratio,
                over=TRANSCRIPTION,
                goal="≥ 1.5" if each == PASSES[1] and variant == PLAIN else "",
            )
    yield from _utilisation(asked, {p: work[p] * batch / seconds[PLAIN + p] for p in PASSES})


def _utilisation(asked: Asked, reached: Mapping[str, float]) -> Iterator[Line]:
    """Floating point operations a second, over the peak and over one large matrix product's."""
    peak, best = peak_of(asked), best_tflops(asked)
    for each, operations_a_second in reached.items():
        tflops = operations_a_second * 1e-12
        yield Line(
            section=_SECTION,
            what=f"model FLOPs, {each}",
            variant=PLAIN,
            value=tflops,
            unit="TFLOP/s",
            ratio=None if peak is None else tflops / peak,
            over="peak",
            goal="≥ 0.40" if each == PASSES[1] else "",
            note=f"{tflops / best:.2f} of one large product's"
            + ("" if peak else "; no peak is known: give --peak-tflops"),
        )


def operations(asked: Asked) -> dict[str, int]:
    """Floating point operations of one record in each pass, as the transcription makes them.

    Of matrix products and the patches' convolution, without gaps, which are computed all the same.
    """
    model = new_model(asked)
    steps = Steps(TRANSCRIPTION, model, patients(asked, model.config, 1, gaps=False))
    found = {}
    for each, step in zip(PASSES, (steps.forward, steps.gradient), strict=True):
        with FlopCounterMode(display=False) as counter:
            step()
        found[each] = int(counter.get_total_flops())
    return found
