"""One record's diagnosis, looked into: what was read, and what moved one label.

Legend: S all tokens, M clinical tokens, K labels, (h, w) the grid of patches; see `TokenLayout`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from irene_model.explain.attention_maps import block_maps, patches_read, read_by_head, rollout
from irene_model.explain.integrated_gradients import Attributions, integrated_gradients
from irene_model.explain.layout import TokenLayout
from irene_model.modalities import ALWAYS
from irene_model.network import IreneModel

_STEPS, _MOST_STEPS = 64, 1024
TOLERATED_GAP = 0.01  # log-odds; a probability moves by a quarter of it at most


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Of one record, on the CPU.

    probabilities: (K,). label: the index of the one that `evidence` is about.
    attention: (S,), the share of each token in what the head read (rollout); they sum to 1.
    clinical_reads: (M,h,w), the patches that each clinical token read (rollout).
    evidence: (S,), what each token's input adds to the label's log-odds over `baseline_logit`
        (integrated gradients; a patch has the sum of its pixels, the class token 0; of a frozen
        image encoder's vectors each has its own).
    """

    layout: TokenLayout
    present: Tensor
    probabilities: Tensor
    label: int
    attention: Tensor
    clinical_reads: Tensor
    evidence: Tensor
    logit: float
    baseline_logit: float

    @property
    def gap(self) -> float:
        """Numerical error of the evidence, in log-odds."""
        return abs(float(self.evidence.sum()) - (self.logit - self.baseline_logit))

    def of(self, values: Tensor, part: str) -> Tensor:
        """The values of one part of the layout: (h,w) for patches, else one a token."""
        found = values[self.layout.parts[part]]
        return found.reshape(self.layout.grid) if part == "patches" else found

    def by_modality(self, values: Tensor) -> dict[str, float]:
        """Sums of `values` (S,) over each modality and panel."""
        layout, own = self.layout, {each.name: each.tokens for each in ALWAYS}
        asked = {name: (name,) for name in (*layout.panels, *layout.further)}
        return {
            name: float(sum(values[layout.parts[part]].sum() for part in parts))
            for name, parts in (own | asked).items()
        }


def explain(
    model: IreneModel, batch: Mapping[str, Tensor], *, label: int | None = None
) -> Explanation:
    """Explain `model`'s answer to the one record of `batch`.

    `label` is an index; without it the label of the highest probability. The quadrature is refined
    until the evidence adds up to `TOLERATED_GAP`, or to 1,024 points.
    """
    if len(batch["age"]) != 1:
        raise ValueError(f"one record is explained at a time, not {len(batch['age'])}")
    layout = TokenLayout.of(model.config)
    present = layout.presence(batch)
    inputs = {name: t for name, t in batch.items() if name not in ("labels", "label_mask")}
    with torch.no_grad():
        output = model(**inputs, output_attentions=True)
    probabilities = output.logits[0].sigmoid()
    chosen = int(probabilities.argmax()) if label is None else label
    rolled = rollout(block_maps(output.attentions, present), present)
    moved, steps = integrated_gradients(model, batch, label=chosen, steps=_STEPS), _STEPS
    while _gap(moved) > TOLERATED_GAP and steps < _MOST_STEPS:
        steps *= 2
        moved = integrated_gradients(model, batch, label=chosen, steps=steps)
    return Explanation(
        layout=layout,
        present=present[0].cpu(),
        probabilities=probabilities.cpu(),
        label=chosen,
        attention=read_by_head(rolled, present)[0].cpu(),
        clinical_reads=patches_read(rolled, layout)[0].cpu(),
        evidence=_on_tokens(moved, layout)[0].cpu(),
        logit=float(moved.logit),
        baseline_logit=float(moved.baseline_logit),
    )


def _gap(moved: Attributions) -> float:
    return float((moved.total - (moved.logit - moved.baseline_logit)).abs().max())


def _on_tokens(moved: Attributions, layout: TokenLayout) -> Tensor:
    """Attributions on the axis of tokens, (B,S): a patch has the sum of its pixels."""
    image = moved.image
    if not image.shape[1]:
        rows, columns = layout.grid
        height, width = moved.pixels.shape[1:]
        pixels = moved.pixels.reshape(-1, rows, height // rows, columns, width // columns)
        patches = pixels.sum(dim=(2, 4)).flatten(1)
        image = torch.cat([patches.new_zeros(len(patches), 1), patches], dim=1)
    numbers = (moved.sex[:, None], moved.age[:, None])
    panels = [
        layout.by_token(values, name).sum(dim=2)
        for name, values in layout.by_panel(moved.panels).items()
    ]
    return torch.cat([image, moved.text, moved.labs, *numbers, *panels, moved.patches], dim=1)
