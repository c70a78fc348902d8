"""A record's reading as one page for a clinician.

From top to bottom: the radiograph, what was read of it, what of it spoke for the label, and all
labels' probabilities; the patches that single words and values read; the complaint; laboratory
values and demographics. What the record lacks is said in its place. The page shows a patient's
data: it belongs where the record belongs.
"""

import textwrap
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from irene_model.explain.explanation import TOLERATED_GAP
from irene_model.explain.figure_panels import (
    ATTENTION_HEAT,
    EVIDENCE_HEAT,
    FAINT,
    INK,
    WORD_LINE,
    Placed,
    draw_heard,
    draw_numbers,
    draw_probabilities,
    draw_radiograph,
    draw_words,
    wrap,
)
from irene_model.explain.reading import Grid, Item, Reading

Pixels = npt.NDArray[np.uint8]
MOST_NUMBERS, MOST_LABELS = 18, 12  # of more, those with the most evidence or probability
_WIDTH, _MARGIN, _GAP = 13.0, 0.45, 0.2  # inches, as all lengths here
_HEADING, _ROW, _IMAGE, _THUMBNAIL, _THUMBNAILS, _STRIP = 0.34, 0.26, 2.8, 1.5, 7, 0.9
_NONE, _SIDES = "This record has none.", "orange +, blue −"
_NOTE = (
    "Attention: an input's share of what the diagnosis read through all blocks (rollout); it says "
    "where was read, not why. Evidence: what an input adds to the label's log-odds, against a "
    "patient with a uniform radiograph, empty words, laboratory values in the middle of their "
    "intervals, fifty years of age and sex left open (integrated gradients). Patient data: keep it "
    "inside the hospital. Research software, not a medical device."
)


def picture(reading: Reading, pixels: Pixels | None, *, title: str) -> Figure:
    """The page; `pixels` (H,W) is the radiograph as the model sees it, `title` names the record."""
    lines = wrap(reading.words, _WIDTH - 2 * _MARGIN)
    numbers = _most_telling(reading.numbers)
    readers = _readers(reading) if pixels is not None else []
    image = _label_height(reading) + 0.25 if pixels is None else _IMAGE
    bands = {
        "title": 0.55,
        "images": _HEADING + image,
        "readers": _HEADING + 0.2 + _THUMBNAIL if readers else 0.0,
        "words": _HEADING + WORD_LINE * max(len(lines), 1),
        "numbers": _HEADING + _ROW * max(len(numbers), 1) + 0.3,
        "sounds": (_HEADING + _STRIP * len(reading.sounds)) if reading.sounds else 0.0,
        "note": 0.55,
    }
    edges = list(accumulate((h + _GAP if h else 0.0 for h in bands.values()), initial=_GAP))
    top = dict(zip(bands, edges[:-1], strict=True))
    sheet = _Sheet(edges[-1])
    chance = reading.probabilities[reading.label]
    headline = f"{reading.label.replace('_', ' ')}: {chance:.0%}"
    sheet.write(headline, top["title"], size=18, weight="bold")
    sheet.write(title, top["title"] + 0.35, size=10, color=FAINT)
    _draw_images(sheet, top["images"], reading, pixels)
    if pixels is not None and readers:
        _draw_readers(sheet, top["readers"], readers, pixels)
    _draw_complaint(sheet, top["words"], reading, lines)
    _draw_numbers(sheet, top["numbers"], reading, numbers)
    if reading.sounds:
        _draw_sounds(sheet, top["sounds"], reading)
    note = _NOTE
    if reading.gap > TOLERATED_GAP:
        note = f"The evidence is off by {reading.gap:.2f} in all: read it with care. {_NOTE}"
    sheet.write(textwrap.fill(note, 205), top["note"], size=8, color=FAINT, linespacing=1.4)
    return sheet.figure


class _Sheet:
    """A figure whose places are inches from its top left corner."""

    def __init__(self, height: float) -> None:
        self.figure = Figure(figsize=(_WIDTH, height), dpi=120)
        self._height = height

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        bottom = self._height - top - height
        place = (left / _WIDTH, bottom / self._height, width / _WIDTH, height / self._height)
        return self.figure.add_axes(place)

    def write(self, text: str, top: float, left: float = _MARGIN, **style: Any) -> None:
        style = {"size": 11, "color": INK, "va": "top", "parse_math": False, **style}
        self.figure.text(left / _WIDTH, 1 - top / self._height, text, **style)

    def head(
        self, text: str, top: float, left: float = _MARGIN, legend: str = "", width: float = 0.0
    ) -> None:
        """A heading, and a legend that ends `width` further right."""
        self.write(text, top, left, weight="bold")
        self.write(legend, top + 0.03, left + width, size=8.5, color=FAINT, ha="right")


def _draw_images(sheet: _Sheet, top: float, reading: Reading, pixels: Pixels | None) -> None:
    below, step = top + _HEADING, _IMAGE + 0.15
    panels: list[tuple[str, str, Grid | None, Colormap]] = [
        ("Radiograph", "", None, ATTENTION_HEAT),
        (_attention(reading, "image"), "yellow: most", reading.patch_attention, ATTENTION_HEAT),
        (_evidence(reading, "image"), _SIDES, reading.patch_evidence, EVIDENCE_HEAT),
    ]
    for number, (title, legend, heat, colours) in enumerate(panels[: 1 if pixels is None else 3]):
        left = _MARGIN + number * step
        sheet.head(title, top, left, legend, width=_IMAGE)
        if pixels is not None:
            draw_radiograph(sheet.axes(left, below, _IMAGE, _IMAGE), pixels, heat, colours)
    left = _MARGIN + step * (3 if pixels is not None else 1)
    if pixels is None:
        sheet.write(_NONE, below, color=FAINT)
    sheet.head("Probabilities", top, left, "● ○ annotated", width=_WIDTH - _MARGIN - left)
    ordered = sorted(reading.probabilities, key=lambda name: -reading.probabilities[name])
    shown = {n: p for n, p in reading.probabilities.items() if n in ordered[:MOST_LABELS]}
    # The names stand left of the axes.
    axes = sheet.axes(left + 2.0, below, _WIDTH - _MARGIN - left - 2.0, _label_height(reading))
    draw_probabilities(axes, shown, reading.annotated, chosen=reading.label)


def _draw_readers(sheet: _Sheet, top: float, readers: Sequence[Item], pixels: Pixels) -> None:
    sheet.head("Patches that the words and values with the most evidence read", top)
    step = (_WIDTH - 2 * _MARGIN - _THUMBNAIL) / (_THUMBNAILS - 1)
    for number, item in enumerate(readers):
        left = _MARGIN + number * step
        axes = sheet.axes(left, top + _HEADING + 0.2, _THUMBNAIL, _THUMBNAIL)
        draw_radiograph(axes, pixels, item.patches)
        name = item.name if len(item.name) <= 14 else item.name[:13] + "…"
        sheet.write(f"{name}  {_signed(item.evidence or 0.0)}", top + _HEADING, left, size=9)


def _draw_complaint(
    sheet: _Sheet, top: float, reading: Reading, lines: Sequence[Sequence[Placed]]
) -> None:
    if not lines:
        sheet.head("Chief complaint", top)
        sheet.write(_NONE, top + _HEADING, color=FAINT)
        return
    legend = f"behind a word: evidence ({_SIDES}); bar beneath: attention"
    if any(word.evidence is None for word in reading.words):
        legend += "; grey: beyond the model's length, not read"
    title = f"{_attention(reading, 'text')}   {_evidence(reading, 'text')}"
    sheet.head(f"Chief complaint   {title}", top, legend=legend, width=_WIDTH - 2 * _MARGIN)
    height = WORD_LINE * len(lines)
    axes = sheet.axes(_MARGIN, top + _HEADING, _WIDTH - 2 * _MARGIN, height)
    axes.set(xlim=(0, _WIDTH - 2 * _MARGIN), ylim=(height, 0))
    axes.axis("off")
    most = max(word.attention or 0.0 for word in reading.words) or 1.0
    draw_words(axes, lines, attention=most, evidence=_most_evidence(reading))


def _draw_numbers(sheet: _Sheet, top: float, reading: Reading, numbers: Sequence[Item]) -> None:
    left_out = len(reading.numbers) - len(numbers)
    more = f" ({left_out} more not shown)" if left_out else ""
    named = "Laboratory, panels" if reading.panels else "Laboratory"
    sheet.head(f"{named}, age and sex{more}", top)
    below = top + _HEADING
    if not numbers:
        sheet.write(_NONE, below, color=FAINT)
        return
    parts, height = ("labs", "demographics", *reading.panels), _ROW * len(numbers)
    stands, reads, speaks = _MARGIN + 3.22, _MARGIN + 6.4, _MARGIN + 9.3
    right = _WIDTH - _MARGIN - speaks
    sheet.head(_attention(reading, *parts), top, reads)
    sheet.head(_evidence(reading, *parts), top, speaks, _SIDES, width=right)
    draw_numbers(
        sheet.axes(stands, below, 2.8, height),
        sheet.axes(reads, below, 2.5, height),
        sheet.axes(speaks, below, right, height),
        numbers,
        most=_most_evidence(reading),
    )


def _draw_sounds(sheet: _Sheet, top: float, reading: Reading) -> None:
    half = (_WIDTH - 2 * _MARGIN - 1.5) / 2 - 0.2
    reads, speaks = _MARGIN + 1.5, _MARGIN + 1.7 + half + 0.2
    sheet.head("Recordings, by second", top)
    sheet.head(_attention(reading, "sounds"), top, reads + 1.0)
    sheet.head(_evidence(reading, "sounds"), top, speaks, _SIDES, width=half)
    spoken = [abs(value or 0.0) for heard in reading.sounds.values() for value in heard.evidence]
    for row, (position, heard) in enumerate(reading.sounds.items()):
        below = top + _HEADING + row * _STRIP
        sheet.write(position, below + 0.15, size=9)
        axes = [sheet.axes(left, below, half, _STRIP - 0.3) for left in (reads, speaks)]
        draw_heard(axes[0], axes[1], heard, most=max(spoken) or 1.0)


def _readers(reading: Reading) -> list[Item]:
    """The words and numbers whose patches are shown, most evidence first; each word once."""
    items = [item for item in (*reading.words, *reading.numbers) if item.evidence is not None]
    items.sort(key=lambda item: -abs(item.evidence or 0.0))
    return list({item.name: item for item in reversed(items)}.values())[::-1][:_THUMBNAILS]


def _most_telling(numbers: Sequence[Item]) -> list[Item]:
    """At most `MOST_NUMBERS`, in order."""
    kept = sorted(numbers, key=lambda number: -abs(number.evidence or 0.0))[:MOST_NUMBERS]
    return [number for number in numbers if number in kept]


def _most_evidence(reading: Reading) -> float:
    """What has the full colour: one scale for words and numbers."""
    spoken = [abs(item.evidence or 0.0) for item in (*reading.words, *reading.numbers)]
    return max(spoken, default=0.0) or 1.0


def _label_height(reading: Reading) -> float:
    return min(_IMAGE - 0.25, 0.33 * min(len(reading.probabilities), MOST_LABELS))


def _attention(reading: Reading, *modalities: str) -> str:
    return f"Attention {sum(reading.attention[name] for name in modalities):.0%}"


def _evidence(reading: Reading, *modalities: str) -> str:
    return f"Evidence {_signed(sum(reading.evidence[name] for name in modalities))}"


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")
