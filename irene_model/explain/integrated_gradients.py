"""What moved a finding's logit: integrated gradients over all inputs that are numbers.

Sundararajan, Taly & Yan, "Axiomatic Attribution for Deep Networks", ICML 2017, equation 1: each
input's difference to a baseline, times the mean gradient on the straight line between them. The
attributions of a record add up to its logit less the baseline's (their completeness axiom), in
log-odds: they can be compared across modalities.

The baseline is a patient of whom nothing stands out, with the same inputs present: a radiograph of
one level, its own mean grey (black would be air, and dark lungs could then explain nothing); text
vectors of zero, and likewise those of a frozen image encoder; laboratory and panel values in the
middle of their reference intervals, which is a scaled 0; fifty years; halfway between the sexes;
the mean sound of each place and band, all the time. An input that is absent takes no part and gets
exactly 0.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from irene_model.modalities import EVERY, FURTHER
from irene_model.network import IreneModel, mean_present

_MIDDLE_AGE, _NEITHER_SEX = 0.5, 0.5  # age is in years / 100


@dataclass(frozen=True, kw_only=True)
class Attributions:
    """In log-odds of one label, of B records.

    pixels (B,H,W), summed over channels, or image (B,1+N), one number a vector of a frozen image
    encoder, and the other is empty; text (B,T), one number a token; labs (B,L); age, sex (B,);
    panels (B,P), all side by side; patches (B,S), one number each, of all further modalities side
    by side. Without text, laboratory, panels or patches in the model, T, L, P or S is 0.
    `logit` and `baseline_logit` are (B,).
    """

    pixels: Tensor
    image: Tensor
    text: Tensor
    labs: Tensor
    age: Tensor
    sex: Tensor
    panels: Tensor
    patches: Tensor
    logit: Tensor
    baseline_logit: Tensor

    @property
    def total(self) -> Tensor:
        """The sum over all inputs, (B,): `logit - baseline_logit` but for numerical error."""
        rows = (self.image, self.text, self.labs, self.panels, self.patches)
        parts = (self.pixels.sum(dim=(1, 2)), *(values.sum(dim=1) for values in rows))
        return sum(parts, self.age + self.sex)


def integrated_gradients(
    model: IreneModel, batch: Mapping[str, Tensor], *, label: int, steps: int = 32
) -> Attributions:
    """Attributions of `model`'s logit of `label` for every record of `batch`.

    `batch` holds the inputs of `IreneModel.forward`. The integral is taken by Gauss-Legendre
    quadrature at `steps` points, one forward and backward pass each. A model in training mode is a
    ValueError: dropout would move the logit between the points.
    """
    if model.training:
        raise ValueError("the model is in training mode; call model.eval() first")
    ends = _inputs(model, batch)
    starts = {name: _baseline(name, end) for name, end in ends.items()}
    if "sound_values" in ends:
        starts["sound_values"] = _steady(model, batch)
    # Behind a mask both ends are 0: neither a value nor a NaN there has a part.
    ends, starts = ({n: _present(n, t, batch) for n, t in side.items()} for side in (ends, starts))
    with _linear_around(model, {**batch, **ends}):
        means = _mean_gradients(model, batch, starts, ends, label=label, steps=steps)
        with torch.no_grad():
            logit, baseline = (_logits(model, batch, side)[:, label] for side in (ends, starts))
    moved = {name: (ends[name] - starts[name]) * means[name] for name in ends}
    nothing = logit.new_zeros(len(logit), 0)
    image = moved["image_embeddings"].sum(dim=2) if model.config.image_width else nothing
    return Attributions(
        pixels=nothing[..., None] if model.config.image_width else moved["pixel_values"].sum(dim=1),
        image=image,
        text=moved["text_embeddings"].sum(dim=2) if "text_embeddings" in moved else nothing,
        labs=moved.get("lab_values", nothing),
        age=moved["age"],
        sex=moved["sex"],
        panels=moved.get("panel_values", nothing),
        patches=torch.cat([nothing, *(moved[n].sum(dim=2) for n in _PATCHES if n in moved)], dim=1),
        logit=logit,
        baseline_logit=baseline,
    )


def _mean_gradients(
    model: IreneModel,
    batch: Mapping[str, Tensor],
    starts: Mapping[str, Tensor],
    ends: Mapping[str, Tensor],
    *,
    label: int,
    steps: int,
) -> dict[str, Tensor]:
    """Of each input, the mean gradient of the label's logit on the line between both sides."""
    means = {name: torch.zeros_like(end) for name, end in ends.items()}
    nodes, weights = np.polynomial.legendre.leggauss(steps)  # on [-1, 1]
    for node, weight in zip(nodes.tolist(), weights.tolist(), strict=True):
        points = {
            name: starts[name].lerp(end, (node + 1) / 2).requires_grad_()
            for name, end in ends.items()
        }
        with torch.enable_grad():
            logits = _logits(model, batch, points)[:, label]
        gradients = torch.autograd.grad(logits.sum(), list(points.values()))
        for mean, gradient in zip(means.values(), gradients, strict=True):
            mean.add_(gradient, alpha=weight / 2)
    return means


def _linear_around(model: IreneModel, inputs: Mapping[str, Tensor]) -> AbstractContextManager[None]:
    """Within, what a linear path says can be told apart by its inputs; see `LinearPath`."""
    return model.linear.linear_around(inputs) if model.config.linear_path else nullcontext()


_MASKS = {name: each.mask for each in EVERY for name in each.inputs}
_PATCHES = [each.patches for each in FURTHER]


def _inputs(model: IreneModel, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The continuous inputs of `batch`; token ids become their vectors."""
    names = ["image_embeddings" if model.config.image_width else "pixel_values", "age", "sex"]
    if model.config.num_labs:
        names.append("lab_values")
    if model.config.panels:
        names.append("panel_values")
    names += [each.patches for each in FURTHER if model.config.clinical_tokens[each.name]]
    found = {name: batch[name].detach() for name in names}
    if model.config.text_length:
        if model.config.vocab_size:
            with torch.no_grad():
                found["text_embeddings"] = model.embeddings.word_vectors(batch)
        else:
            found["text_embeddings"] = batch["text_embeddings"].detach()
    return found


def _baseline(name: str, value: Tensor) -> Tensor:
    if name == "pixel_values":
        return value.mean(dim=(2, 3), keepdim=True).expand_as(value)
    numbers = {"age": _MIDDLE_AGE, "sex": _NEITHER_SEX}
    return torch.full_like(value, numbers.get(name, 0.0))


def _steady(model: IreneModel, batch: Mapping[str, Tensor]) -> Tensor:
    """Patches (B,S,W) that are, at all times, the mean of those that are there."""
    patches = batch["sound_values"].detach()
    positions, bands, times, _ = model.config.sound_grid
    rows = (len(patches) * positions * bands, times)
    there = batch.get("sound_mask")
    known = patches.new_ones(rows, dtype=torch.bool) if there is None else there.reshape(rows)
    mean = mean_present(patches.reshape(*rows, -1), known.bool())
    return mean[:, None].expand(-1, times, -1).reshape(patches.shape)


def _present(name: str, value: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """`value` with zeros where its mask hides it."""
    mask = batch.get(_MASKS[name])
    if mask is None:
        return value
    if name in ("age", "sex"):
        mask = mask[:, 0 if name == "age" else 1]
    shape = [*mask.shape, *[1] * (value.ndim - mask.ndim)]
    return torch.where(mask.bool().reshape(shape), value, 0)


def _logits(model: IreneModel, batch: Mapping[str, Tensor], points: Mapping[str, Tensor]) -> Tensor:
    """Logits (B,K) of `batch` with its continuous inputs replaced by `points`."""
    inputs = {k: v for k, v in batch.items() if k not in ("labels", "label_mask")}
    if not model.config.vocab_size:
        return _forward(model, {**inputs, **points})
    numbers = {name: point for name, point in points.items() if name != "text_embeddings"}
    with _text_vectors(model, points.get("text_embeddings")):
        return _forward(model, {**inputs, **numbers})


def _forward(model: IreneModel, inputs: Mapping[str, Tensor]) -> Tensor:
    logits: Tensor = model(**inputs).logits
    return logits


@contextmanager
def _text_vectors(model: IreneModel, vectors: Tensor | None) -> Iterator[None]:
    """Within, the model's table of token vectors gives `vectors`, whatever the ids are."""
    if vectors is None:
        yield
        return

    def given(_: object, ids: tuple[Tensor], __: object) -> Tensor:
        # Tokens that share a place share its vector: their mean is the vector itself.
        return vectors if ids[0].ndim < 3 else vectors[:, :, None].expand(*ids[0].shape, -1)

    hook = model.embeddings.text_tokens.register_forward_hook(given)
    try:
        yield
    finally:
        hook.remove()
