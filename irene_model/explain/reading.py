"""A record beside its explanation: each word and value with what was read of it and what it said.

This is the content of a record's picture and of its JSON. It holds a patient's values.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from irene_model.explain.explanation import Explanation
from irene_model.inputs import TextReader, scale_lab, words
from irene_model.study import Measurement, Panel, Record, SoundShape, Study

Grid = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)  # arrays have no one equality
class Item:
    """A word or a number of the record.

    name: the word as it is written, or the number's name. shown: the value in words, as
    `50.4 mg/L ↑`; empty for a word. position: of a laboratory value, as `scale_lab` places it.
    attention: share of what the head read. evidence: log-odds. patches: (h,w), the patches that it
    read. The last three are None for a word beyond the model's length, which was not read.
    """

    name: str
    shown: str = ""
    position: float | None = None
    attention: float | None = None
    evidence: float | None = None
    patches: Grid | None = None

    def __repr__(self) -> str:
        """Never a patient's values."""
        return f"Item(read={self.evidence is not None})"


@dataclass(frozen=True, kw_only=True)
class Heard:
    """A recording over time: of each patch of `seconds`, over all frequencies, its share of what
    the head read and its evidence in log-odds; None where nothing was recorded."""

    seconds: float
    attention: tuple[float | None, ...]
    evidence: tuple[float | None, ...]

    def __repr__(self) -> str:
        """Never a patient's values."""
        return f"Heard({len(self.attention)} patches)"


@dataclass(frozen=True, kw_only=True, eq=False)  # arrays have no one equality
class Reading:
    """What `picture` draws. Absent inputs are absent here: no patches, no words, no such number.

    label: its name. probabilities, annotated: label -> probability, and 0 or 1 where the site
    knows. patch_attention, patch_evidence: (h,w). attention, evidence: sums by modality.
    gap: what is missing for the evidence to add up, in log-odds.
    """

    label: str
    probabilities: Mapping[str, float]
    annotated: Mapping[str, int]
    logit: float
    baseline_logit: float
    gap: float
    attention: Mapping[str, float]
    evidence: Mapping[str, float]
    patch_attention: Grid | None
    patch_evidence: Grid | None
    words: tuple[Item, ...]
    labs: tuple[Item, ...]
    demographics: tuple[Item, ...]
    panels: Mapping[str, tuple[Item, ...]] = field(default_factory=dict)
    sounds: Mapping[str, Heard] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Never a patient's values."""
        return f"Reading({len(self.words)} words, {len(self.labs)} labs)"

    @property
    def numbers(self) -> tuple[Item, ...]:
        """Laboratory values, panels, and then what has no position: groups and demographics."""
        items = [*self.labs, *(item for panel in self.panels.values() for item in panel)]
        placed = tuple(item for item in items if item.position is not None)
        groups = tuple(item for item in items if item.position is None)
        return placed + groups + self.demographics

    def as_json(self) -> dict[str, Any]:
        """The reading as plain mappings, lists, numbers and text."""

        def grid(values: Grid | None) -> list[list[float]] | None:
            return None if values is None else values.tolist()

        def item(of: Item) -> dict[str, Any]:
            return {**asdict(of), "patches": grid(of.patches)}

        return {
            "schema": 1,
            "label": self.label,
            "probabilities": dict(self.probabilities),
            "annotated": dict(self.annotated),
            "logit": self.logit,
            "baseline_logit": self.baseline_logit,
            "gap": self.gap,
            "attention": dict(self.attention),
            "evidence": dict(self.evidence),
            "image": {
                "attention": grid(self.patch_attention),
                "evidence": grid(self.patch_evidence),
            },
            "words": [item(word) for word in self.words],
            "labs": [item(lab) for lab in self.labs],
            "demographics": [item(number) for number in self.demographics],
            "panels": {n: [item(of) for of in items] for n, items in self.panels.items()},
            "sounds": {position: asdict(heard) for position, heard in self.sounds.items()},
        }


def read(
    explanation: Explanation, record: Record, study: Study, reader: TextReader | None = None
) -> Reading:
    """The reading of `record`, which `explanation` is of; `reader` reads the study's texts."""
    places, present = explanation.layout.parts, explanation.present
    clinical = explanation.layout.clinical.start
    has_image = bool(present[places["patches"]].all())

    def item(
        part: str,
        tokens: range | Mapping[int, float],
        name: str,
        shown: str = "",
        position: float | None = None,
    ) -> Item:
        """The item of some tokens, counted from the start of its part, or of shares of them."""
        if not len(tokens):
            return Item(name=name)
        at = torch.tensor([places[part].start + token for token in tokens])
        own = torch.tensor([tokens[n] if isinstance(tokens, Mapping) else 1.0 for n in tokens])
        reads = explanation.clinical_reads[at - clinical].mean(dim=0)
        return Item(
            name=name,
            shown=shown,
            position=position,
            attention=float((explanation.attention[at] * own).sum()),
            evidence=float((explanation.evidence[at] * own).sum()),
            patches=reads.numpy() if has_image else None,
        )

    reader = reader or TextReader.open(study.text)
    length = explanation.layout.text
    said = words(
        record.text or "",
        max_tokens=length,
        windows=reader.shape.windows,
        tokenizer=reader.tokenizer,
    )
    labs = [
        item("labs", range(n, n + 1), test.name, *_shown(record.labs[test.name], test))
        for n, test in enumerate(study.labs)
        if test.name in record.labs
    ]
    demographics = []
    if present[places["age"]].all():
        demographics.append(item("age", range(1), "age", f"{record.age_years:g} years"))
    if present[places["sex"]].all():
        demographics.append(item("sex", range(1), "sex", str(record.sex)))
    return Reading(
        label=study.labels[explanation.label],
        probabilities=dict(zip(study.labels, explanation.probabilities.tolist(), strict=True)),
        annotated=dict(record.labels),
        logit=explanation.logit,
        baseline_logit=explanation.baseline_logit,
        gap=explanation.gap,
        attention=explanation.by_modality(explanation.attention),
        evidence=explanation.by_modality(explanation.evidence),
        patch_attention=_patches(explanation, "attention") if has_image else None,
        patch_evidence=_patches(explanation, "evidence") if has_image else None,
        words=tuple(item("text", tokens, word) for word, tokens in said),
        labs=tuple(labs),
        demographics=tuple(demographics),
        panels={
            panel.name: tuple(_panel(panel, record, present, places, item))
            for panel in study.panels
        },
        sounds=_sounds(explanation, study.sounds),
    )


def _sounds(explanation: Explanation, shape: SoundShape | None) -> dict[str, Heard]:
    """Position -> what was read of its recording, where there is one."""
    if shape is None:
        return {}
    part = explanation.layout.parts["sounds"]
    there = explanation.present[part].reshape(shape.grid).any(dim=1)  # positions, times

    def over_time(values: Tensor, place: int) -> tuple[float | None, ...]:
        sums = values[part].reshape(shape.grid)[place].sum(dim=0).tolist()
        return tuple(s if t else None for s, t in zip(sums, there[place].tolist(), strict=True))

    return {
        position: Heard(
            seconds=shape.patch_seconds,
            attention=over_time(explanation.attention, place),
            evidence=over_time(explanation.evidence, place),
        )
        for place, position in enumerate(shape.positions)
        if there[place].any()
    }


def _panel(
    panel: Panel,
    record: Record,
    present: Tensor,
    places: Mapping[str, slice],
    item: Callable[..., Item],
) -> Iterator[Item]:
    """The panel's present tokens: a value each with its number, or a group by its first and last.

    Of a group there are too many numbers to show.
    """
    values, each = record.panels.get(panel.name), panel.per_token
    for token in range(panel.tokens):
        if values is None or not present[places[panel.name].start + token]:
            continue
        tests = panel.values[token * each : (token + 1) * each]
        place = range(token, token + 1)
        if each == 1:
            value = float(values[token])
            yield item(panel.name, place, tests[0].name, *_shown(value, tests[0]))
        else:
            measured = int(np.isfinite(values[token * each : (token + 1) * each]).sum())
            name = f"{panel.name} {tests[0].name} to {tests[-1].name}"
            yield item(panel.name, place, name, f"{measured} values")


def _patches(explanation: Explanation, kind: str) -> Grid:
    values: Grid = explanation.of(getattr(explanation, kind), "patches").numpy()
    return values


def _shown(value: float, test: Measurement) -> tuple[str, float]:
    """A laboratory value in words, and its place on the scale of its reference interval."""
    if math.isinf(value):
        return ("above detection ↑" if value > 0 else "below detection"), scale_lab(value, test)
    arrow = " ↑" if value > test.high else " ↓" if value < test.low else ""
    return f"{value:.4g} {test.unit}{arrow}", scale_lab(value, test)
