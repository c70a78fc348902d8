"""A census as a picture: sizes, labels, modalities and people of each site, one site a line.

Every cell has its number in it, one hue goes from light to dark, and what is not recorded is
hatched: nothing is told by colour alone. `split.csv` holds the same, for who can't see it.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from irene_model.errors import ConfigError
from simulations.splits.census import SiteCensus

_INK, _MUTED, _BAR, _EDGE = "#22272e", "#59636e", "#0b6e99", "#ffffff"
_HUE = LinearSegmentedColormap.from_list("irene", ["#f2f7fa", "#0b4f6c"])
_MOST_ROWS = 40  # that can be read on a page
_CELL, _ROW = 0.52, 0.3  # inches
_DARK = 0.55  # of the hue, from where on words on it are white


def draw_census_picture(census: Sequence[SiteCensus], path: Path, *, title: str) -> str:
    """Write the picture to `path`, a .png or .svg; returns what it shows, in words.

    Of more than forty sites it shows as many, evenly from the largest to the smallest. Raises
    ConfigError where the file can't be written.
    """
    shown = _shown(census)
    labels, modalities = list(shown[0].prevalence), list(shown[0].presence)
    widths = [1.6, _CELL * len(labels), _CELL * len(modalities), 1.7, _CELL, 2.4]
    height = 2.2 + _ROW * len(shown)
    figure = Figure(figsize=(sum(widths) + 2.2, height), layout="constrained")
    axes = figure.subplots(1, len(widths), width_ratios=widths)
    told = in_words(census)
    more = "" if len(shown) == len(census) else f"; {len(shown)} of them are shown"
    told_above = f"{title}: {_size_words(census)}{more}. Hatched: not recorded."
    figure.suptitle(told_above, x=0.01, ha="left", fontsize=10, color=_INK, parse_math=False)
    _sizes(axes[0], shown)
    _matrix(axes[1], [list(each.prevalence.values()) for each in shown], labels)
    _head(axes[1], "records with a label, %")
    _matrix(axes[2], [list(each.presence.values()) for each in shown], modalities, most=1.0)
    _head(axes[2], "that have it, %")
    _ages(axes[3], shown)
    _matrix(axes[4], [[each.female] for each in shown], ["female"], most=1.0)
    _head(axes[4], "%")
    _scanners(axes[5], shown)
    for each in axes:
        each.set_ylim(len(shown) - 0.5, -0.5)
        each.set_yticks([])
        for side in each.spines.values():
            side.set_visible(False)
        each.tick_params(length=0, labelsize=7.5, colors=_INK)
    axes[0].set_yticks(range(len(shown)), [site.site for site in shown], parse_math=False)
    try:
        kept = {"Date": None} if path.suffix == ".svg" else {}
        figure.savefig(path, dpi=150, metadata={**kept, "Description": told})
    except OSError as error:
        raise ConfigError(f"{path}: can't be written ({type(error).__name__})") from None
    return told


def in_words(census: Sequence[SiteCensus]) -> str:
    """What a picture of the census shows, for a page's alternative text."""
    shared = max(each.shared for each in census)
    parts = [_size_words(census)]
    for label in census[0].prevalence:
        known = [s for each in census if (s := each.prevalence[label]) is not None]
        if known:
            where = "" if len(known) == len(census) else f" at {len(known)} sites that record it"
            parts.append(f"{label} {100 * min(known):.0f} to {100 * max(known):.0f} %{where}")
    for modality in census[0].presence:
        least = min(each.presence[modality] for each in census)
        if least < 1:
            lacking = sum(each.presence[modality] == 0 for each in census)
            parts.append(
                f"{modality} lacking at {lacking} sites"
                if lacking
                else f"{modality} in at least {100 * least:.0f} %"
            )
    if shared:
        parts.append(f"up to {shared} patients of a site are seen elsewhere too")
    return "; ".join(parts)


def _size_words(census: Sequence[SiteCensus]) -> str:
    sizes = [each.patients for each in census]
    return f"{len(census)} sites of {min(sizes):,} to {max(sizes):,} patients"


def _shown(census: Sequence[SiteCensus]) -> list[SiteCensus]:
    if len(census) <= _MOST_ROWS:
        return list(census)
    by_size = sorted(census, key=lambda each: -each.patients)
    picked = np.linspace(0, len(census) - 1, _MOST_ROWS).round().astype(int)
    return [by_size[index] for index in picked]


def _sizes(axes: Axes, shown: Sequence[SiteCensus]) -> None:
    rows = range(len(shown))
    axes.barh(rows, [each.patients for each in shown], color=_BAR, height=0.7)
    axes.barh(
        rows, [each.shared for each in shown], color="none", edgecolor=_EDGE, hatch="////",
        height=0.7, linewidth=0,
    )  # fmt: skip
    most = max(each.patients for each in shown)
    for row, each in enumerate(shown):
        told = f"{each.patients:,}" + (f" ({each.shared:,})" if each.shared else "")
        axes.text(each.patients + 0.03 * most, row, told, va="center", fontsize=7.5, color=_INK)
    axes.set_xlim(0, 1.7 * most)
    axes.set_xticks([])
    also = " (elsewhere too)" if any(each.shared for each in shown) else ""
    _head(axes, "patients" + also)


def _matrix(
    axes: Axes,
    values: Sequence[Sequence[float | None]],
    names: Sequence[str],
    *,
    most: float | None = None,
) -> None:
    """Cells in per cent; None is hatched. most: what is darkest, else the largest value."""
    top = most or max((v for row in values for v in row if v is not None), default=0.0) or 1.0
    for row, cells in enumerate(values):
        for column, value in enumerate(cells):
            corner = (column - 0.5, row - 0.5)
            if value is None:
                axes.add_patch(
                    Rectangle(corner, 1, 1, facecolor="none", edgecolor="#8a939d", hatch="////",
                              linewidth=0)
                )  # fmt: skip
                continue
            depth = value / top
            axes.add_patch(Rectangle(corner, 1, 1, facecolor=_HUE(depth), edgecolor=_EDGE))
            ink = "white" if depth > _DARK else _INK
            axes.text(column, row, _percent(value), ha="center", va="center", fontsize=7, color=ink)
    axes.set_xlim(-0.5, max(len(names), 1) - 0.5)
    turned = 45 if len(names) > 1 else 0
    axes.set_xticks(
        range(len(names)), [name.replace("_", " ") for name in names], rotation=turned,
        ha="right" if turned else "center", rotation_mode="anchor", parse_math=False,
    )  # fmt: skip


def _head(axes: Axes, told: str) -> None:
    axes.set_title(told, loc="left", fontsize=8, color=_MUTED)


def _percent(value: float) -> str:
    return "<1" if 0 < value < 0.005 else f"{100 * value:.0f}"


def _ages(axes: Axes, shown: Sequence[SiteCensus]) -> None:
    for row, each in enumerate(shown):
        low, middle, high = each.ages
        axes.plot(
            [low, high], [row, row], color=_BAR, linewidth=4, solid_capstyle="butt", alpha=0.45
        )
        axes.plot([middle], [row], marker="|", markersize=9, markeredgewidth=2, color=_INK)
    axes.set_xlim(18, 95)
    axes.set_xticks([20, 40, 60, 80])
    axes.grid(axis="x", color="#dfe3e8", linewidth=0.6)
    _head(axes, "age, quartiles")


def _scanners(axes: Axes, shown: Sequence[SiteCensus]) -> None:
    for row, each in enumerate(shown):
        s = each.scanner
        told = (
            f"×{s['contrast']:.2f} {s['brightness']:+.2f}  noise {s['noise']:.3f}  "
            f"blur {s['blur']:.1f}{'  inverted' if s['inverted'] else ''}"
        )
        axes.text(0, row, told, va="center", fontsize=7, color=_INK)
    axes.set_xlim(0, 1)
    axes.set_xticks([])
    _head(axes, "scanner: contrast, brightness, grain")
