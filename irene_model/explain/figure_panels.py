"""The panels of a record's picture: radiographs under a heat map, coloured words, bars of values.

Attention is green, from nothing to strong. Evidence goes from blue (against the label) over white
to vermilion (for it), colours of Okabe & Ito that colour-blind people can tell apart. Text of a
record is never read as mathematics. Lengths are inches.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter

from irene_model.explain.reading import Grid, Heard, Item
from irene_model.inputs import LAB_CAP

INK, FAINT, BAND, READ = "#222222", "#6B6B6B", "#E4E4E4", "#009E73"
EVIDENCE = LinearSegmentedColormap.from_list("evidence", ["#0072B2", "#FFFFFF", "#D55E00"])
# Over grey pixels white would look like bone: there the middle fades away instead.
ATTENTION_HEAT = LinearSegmentedColormap.from_list("attention heat", ["#00C490", "#FFF200"])
EVIDENCE_HEAT = LinearSegmentedColormap.from_list("evidence heat", ["#1E9BFF", "#FF7A1A"])
WORD_LINE = 0.34  # from one line of words to the next
_WORD = FontProperties(size=11)
_LONGEST_WORD = 40  # characters
_MOST_OPAQUE = 0.75
_BOUND = float(np.log(2))  # where `scale_lab` puts the bounds of the reference interval

Placed = tuple[float, float, Item]  # left, right, word


def draw_radiograph(
    axes: Axes,
    pixels: npt.NDArray[np.uint8],
    heat: Grid | None = None,
    colours: Colormap = ATTENTION_HEAT,
) -> None:
    """Grey `pixels` (H,W) under the patches of `heat` (h,w), where given.

    A patch is as opaque as it is far from nothing (evidence) or from the coolest patch (attention,
    of which each patch has some). Patches and not a smooth map: the model sees no finer.
    """
    height, width = pixels.shape
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="bilinear")
    if heat is not None:
        signed = colours is EVIDENCE_HEAT
        above = heat if signed else heat - heat.min()
        strength = above / (np.abs(above).max() or 1.0)
        colour = colours((strength + 1) / 2 if signed else strength)
        colour[..., 3] = np.abs(strength) * _MOST_OPAQUE
        edges = (-0.5, width - 0.5, height - 0.5, -0.5)
        axes.imshow(colour, extent=edges, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def draw_heard(attention: Axes, evidence: Axes, heard: Heard, *, most: float) -> None:
    """A recording over time: what was read, and what it said; `most` has the full colour."""
    at = [place * heard.seconds for place in range(len(heard.attention))]
    shares, said = ([v or 0.0 for v in values] for values in (heard.attention, heard.evidence))
    attention.bar(at, shares, heard.seconds, align="edge", color=READ)
    colours = EVIDENCE([(value / most + 1) / 2 for value in said])
    evidence.bar(at, said, heard.seconds, align="edge", color=colours, edgecolor=FAINT, lw=0.3)
    for axes in (attention, evidence):
        axes.axhline(0, color=FAINT, lw=0.6)
        axes.set(xlim=(0, at[-1] + heard.seconds), yticks=[])
        axes.tick_params(labelsize=8, colors=FAINT)
        axes.spines[["top", "left", "right"]].set_visible(False)


def wrap(words: Sequence[Item], width: float) -> list[list[Placed]]:
    """Words set into lines of `width`."""
    renderer: Any = RendererAgg(72, 72, 72)  # type: ignore[no-untyped-call]  # a dot is a point
    lines: list[list[Placed]] = []
    right = width
    for word in words:
        text = _short(word.name, _LONGEST_WORD)
        size = renderer.get_text_width_height_descent(text, _WORD, False)[0] / 72
        left = right + 0.12
        if left + size > width:
            lines.append([])
            left = 0.0
        right = left + size
        lines[-1].append((left, right, word))
    return lines


def draw_words(
    axes: Axes, lines: Sequence[Sequence[Placed]], *, attention: float, evidence: float
) -> None:
    """Wrapped words: evidence behind each, attention as the height of the bar under it.

    The axes are measured in inches, from their top left corner. `attention` and `evidence` have
    the full height and colour. What was not read is faint.
    """
    for number, line in enumerate(lines):
        base = number * WORD_LINE + 0.2
        for left, right, word in line:
            wide = right - left + 0.06
            if word.evidence is not None and word.attention is not None:
                # Short of the full colour, on which dark letters would be hard to read.
                colour = EVIDENCE(Normalize(-1.3 * evidence, 1.3 * evidence)(word.evidence))
                tall = 0.085 * word.attention / attention
                axes.add_patch(
                    Rectangle((left - 0.03, base - 0.16), wide, 0.21, color=colour, lw=0)
                )
                axes.add_patch(Rectangle((left - 0.03, base + 0.05), wide, tall, color=READ, lw=0))
            axes.text(
                left,
                base,
                _short(word.name, _LONGEST_WORD),
                fontproperties=_WORD,
                color=FAINT if word.evidence is None else INK,
                parse_math=False,
            )


def draw_numbers(
    stands: Axes, attention: Axes, evidence: Axes, numbers: Sequence[Item], *, most: float
) -> None:
    """A row for each number: where it stands, its share of attention, its evidence.

    Those with a position stand first. `most` is the evidence with the full colour.
    """
    rows = np.arange(len(numbers))
    for axes in (stands, attention, evidence):
        _plain_axes(axes, len(numbers))
    shares = [number.attention or 0.0 for number in numbers]
    spoken = [number.evidence or 0.0 for number in numbers]
    attention.barh(rows, shares, height=0.6, color=READ)
    attention.set_xlim(0, (max(shares) or 1.0) * 1.05)
    attention.xaxis.set_major_formatter(lambda share, _: f"{100 * share:.3g}%")
    attention.xaxis.set_major_locator(MaxNLocator(4))
    colours = EVIDENCE(Normalize(-most, most)(spoken))
    evidence.barh(rows, spoken, height=0.6, color=colours, edgecolor=FAINT, linewidth=0.5)
    evidence.axvline(0, color=FAINT, lw=0.8)
    furthest = max(map(abs, spoken)) or 1.0
    evidence.set_xlim(-furthest * 1.1, furthest * 1.1)
    evidence.xaxis.set_major_locator(MaxNLocator(5))
    places = [number.position for number in numbers if number.position is not None]
    bottom = len(places) - 0.5
    stands.add_patch(Rectangle((-_BOUND, -0.5), 2 * _BOUND, bottom + 0.5, color=BAND, lw=0))
    for row, place in enumerate(places):
        stands.plot([0, place], [row, row], color=FAINT, lw=1)
        marker = "D" if abs(place) > _BOUND else "o"
        stands.plot(place, row, marker, color=INK, ms=5.5, clip_on=False)
    stands.set(xlim=(-LAB_CAP, LAB_CAP), xticks=[-2.4, 0, 2.4] if places else [])
    if places:
        stands.set_xticklabels(["below", "reference", "above"])
        stands.tick_params(length=0)
    stands.spines["bottom"].set_visible(False)
    for row, number in enumerate(numbers):
        _beside(stands, row, number.shown, right=-0.04)
        _beside(stands, row, _short(number.name, 24), right=None)


def draw_probabilities(
    axes: Axes,
    probabilities: Mapping[str, float],
    annotated: Mapping[str, int],
    *,
    chosen: str,
) -> None:
    """A bar for each label, the chosen one dark; ● and ○ are the site's own yes and no."""
    _plain_axes(axes, len(probabilities))
    axes.set(xlim=(0, 1.6), xticks=[0, 0.5, 1])
    axes.xaxis.set_major_formatter(PercentFormatter(xmax=1))
    for row, (name, probability) in enumerate(probabilities.items()):
        weight = "bold" if name == chosen else "normal"
        axes.barh(row, probability, height=0.6, color=INK if name == chosen else "#A8A8A8")
        axes.text(probability + 0.02, row, f"{probability:.0%}", size=9, va="center", weight=weight)
        _beside(axes, row, _short(name.replace("_", " "), 25), right=-0.03, weight=weight)
        if name in annotated:
            face = INK if annotated[name] else "none"
            axes.plot(1.54, row, "o", ms=6, color=INK, markerfacecolor=face)


def _plain_axes(axes: Axes, rows: int) -> None:
    axes.set(ylim=(rows - 0.4, -0.6), yticks=[])
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.tick_params(labelsize=8, colors=FAINT, length=2)


def _beside(
    axes: Axes, row: int, text: str, *, right: float | None, weight: str = "normal"
) -> None:
    """Text left of a row: ending at `right` of the axes' width, or beginning at its left edge."""
    axes.text(
        -1.15 if right is None else right,
        row,
        text,
        transform=axes.get_yaxis_transform(),
        ha="left" if right is None else "right",
        va="center",
        size=9.5,
        weight=weight,
        color=INK,
        parse_math=False,
    )


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
