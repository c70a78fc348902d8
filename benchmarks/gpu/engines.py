"""Each way to a private gradient against the step without privacy, and whether two ways agree."""

from collections.abc import Iterator, Mapping

import torch

from benchmarks.gpu.cases import ENGINES, PRODUCT, Steps, new_model, patients
from benchmarks.gpu.section import PLAIN, Asked, Line, attempted
from benchmarks.gpu.turns import Step, release, turns_that_fit
from client.private import PrivateGradient
from irene_model.inputs import Batch
from irene_model.network import IreneModel

_COST, _PARITY = "privacy", "parity"
_RECORDS = {True: 16, False: 3}
_CLIP_NORM = 1.0
_WHOLE = "fused"


def measure(asked: Asked) -> Iterator[Line]:
    """Of each engine beside the plain step, at the largest batch at which both fit."""
    for engine in ENGINES:
        instead = Line(section=_COST, what="gradient", variant=engine)
        yield from attempted(_cost(asked, engine), instead)
        release(asked.device)


def _cost(asked: Asked, engine: str) -> Iterator[Line]:
    # Noise is drawn once a step, the same for every engine: with one of them it is measured.
    parts = {"gradient": "gradient", **({"whole": "whole step"} if engine == _WHOLE else {})}

    def new_steps(records: int) -> Mapping[str, Step]:
        found: dict[str, Step] = {}
        for variant in (PLAIN, engine):
            model = new_model(asked)  # each its own: an engine may hang hooks on it
            steps = Steps(variant, model, patients(asked, model.config, records))
            found |= {f"{variant} {part}": getattr(steps, part) for part in parts}
        return found

    batch, seconds = turns_that_fit(
        new_steps,
        batch=asked.batch_for(PLAIN, engine),
        seconds=asked.seconds,
        device=asked.device,
    )
    for part, what in parts.items():
        taken = seconds[f"{engine} {part}"]
        yield Line(
            section=_COST,
            what=f"{what}, batch {batch}",
            variant=engine,
            value=batch / taken,
            unit="records/s",
            ratio=taken / seconds[f"{PLAIN} {part}"],
            over=f"{PLAIN}'s time",
            goal="≤ 1.25" if engine == _WHOLE and part == "gradient" else "",
        )


def parity(asked: Asked) -> Iterator[Line]:
    """How far the engines' clipped sums are from those of Opacus in float32, without dropout."""
    model = new_model(asked, dropout=False)
    batch = patients(asked, model.config, min(_RECORDS[asked.on_gpu], asked.most))
    reference = clipped_sum("opacus", model, batch, bf16=False)
    for bf16 in (False, True):
        for engine in ENGINES:
            instead = Line(section=_PARITY, what="clipped sum", variant=engine)
            yield from attempted(_apart(engine, model, batch, bf16, reference), instead)


def _apart(
    engine: str, model: IreneModel, batch: Batch, bf16: bool, reference: torch.Tensor
) -> Iterator[Line]:
    found = clipped_sum(engine, model, batch, bf16=bf16)
    kind = "bf16" if bf16 else "float32"
    yield Line(
        section=_PARITY,
        what=f"clipped sum of {len(batch['labels'])}, {kind}",
        variant=engine,
        value=float((found - reference).norm() / reference.norm()),
        unit="relative",
        over="opacus, float32",
        goal="≤ 1e-5" if engine in PRODUCT and not bf16 else "",
        note=f"cosine {float(torch.cosine_similarity(found, reference, dim=0)):.6f}",
    )


def clipped_sum(engine: str, model: IreneModel, batch: Batch, *, bf16: bool) -> torch.Tensor:
    """Of all parameters, one after another: float64 on the CPU."""
    device = batch["labels"].device.type
    private = PrivateGradient(model, clip_norm=_CLIP_NORM, engine=ENGINES[engine])
    try:
        with torch.autocast(device, dtype=torch.bfloat16, enabled=bf16):
            private.accumulate(batch)
        return torch.cat([each.double().cpu().flatten() for each in private.take_sums().values()])
    finally:
        private.close()
