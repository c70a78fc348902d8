"""The page of a record: nothing overlaps or leaves it, whatever the record has or lacks."""

import io
import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from irene_model.explain.pictures import MOST_NUMBERS, picture
from irene_model.explain.reading import Item, Reading

PIXELS = np.random.default_rng(0).integers(0, 256, (32, 32)).astype(np.uint8)


def item(number: int, name: str, shown: str = "", position: float | None = None) -> Item:
    rng = np.random.default_rng(number)
    return Item(
        name=name,
        shown=shown,
        position=position,
        attention=float(rng.random()) / 50,
        evidence=float(rng.normal()),
        patches=rng.random((4, 4)).astype(np.float32),
    )


WORDS = tuple(
    item(n, w) for n, w in enumerate(["Cough,", "fever", "and", "shortness", "of", "breath", "x3d"])
)
LABS = tuple(item(n, f"lab_{n}", f"{n} mg/L ↑", n / 4 - 2) for n in range(14))
READING = Reading(
    label="pneumonia",
    probabilities={"pneumonia": 0.98, "interstitial_lung_disease": 0.0, "death": 1.0},
    annotated={"pneumonia": 1, "death": 0},
    logit=2.0,
    baseline_logit=-1.0,
    gap=0.001,
    attention={"image": 0.5, "text": 0.2, "labs": 0.25, "demographics": 0.05},
    evidence={"image": -12.3, "text": 0.2, "labs": 14.0, "demographics": -0.1},
    patch_attention=np.random.default_rng(1).random((4, 4)).astype(np.float32),
    patch_evidence=np.random.default_rng(2).normal(size=(4, 4)).astype(np.float32),
    words=WORDS,
    labs=LABS,
    demographics=(item(1, "age", "61 years"), item(2, "sex", "female")),
)
NO_IMAGE: dict[str, Any] = {"patch_attention": None, "patch_evidence": None}
LONG = "Pneumonoultramicroscopicsilicovolcanoconiosis" * 3
MANY = [f"{LONG[:60]} {n}" for n in range(40)]
CASES: dict[str, dict[str, Any]] = {
    "full": {},
    "no image": NO_IMAGE,
    "no text": {"words": ()},
    "no labs": {"labs": ()},
    "no numbers": {"labs": (), "demographics": ()},
    "nothing": {**NO_IMAGE, "words": (), "labs": (), "demographics": ()},
    "long text": {"words": WORDS * 12 + (item(1, LONG), Item(name="unread"))},
    "many labs": {"labs": tuple(item(n, f"value no. {n} of so many", "1 mg/L") for n in range(92))},
    "many labels": {"probabilities": {"pneumonia": 1} | dict.fromkeys(MANY, 0.5)},
    "a gap": {"gap": 0.2},
    "nothing said": {"words": (replace(WORDS[0], attention=0.0, evidence=0.0),), "labs": ()},
}  # fmt: skip


def page_of(reading: Reading) -> Figure:
    pixels = None if reading.patch_attention is None else PIXELS
    return picture(reading, pixels, title="record R1, site north, study test")


def boxes(figure: Figure) -> list[tuple[str, Bbox]]:
    """All texts that are drawn, each with its place in pixels."""
    figure.draw_without_rendering()
    texts: Sequence[Text] = figure.findobj(Text)
    shown = [t for t in texts if t.get_text() and t.get_visible()]
    # matplotlib keeps labels for ticks beyond the axes' ends, and does not draw them.
    ticks = {
        id(label): axis
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for label in axis.get_ticklabels()
    }
    hidden = {
        id(tick.label1)
        for axis in set(ticks.values())
        for tick in axis.get_major_ticks()
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    }
    return [(t.get_text(), t.get_window_extent()) for t in shown if id(t) not in hidden]


@pytest.mark.parametrize("case", CASES)
def test_no_text_overlaps_another_or_leaves_the_page(case: str) -> None:
    figure = page_of(replace(READING, **CASES[case]))
    width, height = figure.get_size_inches() * figure.dpi
    placed = boxes(figure)
    for text, box in placed:
        assert box.x0 >= 0 and box.x1 <= width, text
        assert box.y0 >= 0 and box.y1 <= height, text
    placed += [("an image", axes.get_window_extent()) for axes in figure.axes if axes.images]
    for (one, first), (other, second) in itertools.combinations(placed, 2):
        both = Bbox.intersection(first, second)
        assert both is None or min(both.width, both.height) < 2, (one, other)


def texts_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


def test_the_page_says_what_there_is_and_what_is_missing() -> None:
    said = texts_of(page_of(READING))
    for expected in (
        "pneumonia: 98%",
        "record R1, site north, study test",
        "Attention 50%",
        "Evidence −12.30",
        "interstitial lung disease",
        "fever",
        "lab_7",
        "7 mg/L ↑",
        "61 years",
    ):
        assert expected in said, expected
    assert "This record has none." not in said
    assert not any("off by" in text for text in said)
    assert any("off by 0.20" in text for text in texts_of(page_of(replace(READING, gap=0.2))))
    assert (
        texts_of(page_of(replace(READING, **CASES["nothing"]))).count("This record has none.") == 3
    )


def test_the_numbers_with_the_most_evidence_are_kept_in_order() -> None:
    labs = tuple(replace(item(n, f"lab {n}"), evidence=float(n % 7)) for n in range(60))
    figure = page_of(replace(READING, labs=labs, demographics=()))
    said = texts_of(figure)
    kept = [text for text in said if text.startswith("lab ") and "  " not in text]
    # Eight have a 6 and eight a 5; of the eight with a 4 the first two fill the rest.
    expected = [n for n in range(60) if n % 7 >= 5] + [4, 11]
    assert kept == [f"lab {n}" for n in sorted(expected)]
    assert len(kept) == MOST_NUMBERS
    assert "Laboratory, age and sex (42 more not shown)" in said


def test_text_of_a_record_is_never_mathematics() -> None:
    """`$^$` is an error as mathematics, and `$a$` would be shown in italics without its signs."""
    words = (replace(WORDS[0], name="$^$"), replace(WORDS[1], name="$a$"))
    figure = page_of(replace(READING, words=words))
    figure.savefig(io.BytesIO(), format="png")
    assert {"$^$", "$a$"} <= set(texts_of(figure))


def test_a_heat_map_lies_over_its_patches() -> None:
    """The hottest patch's pixels are the most coloured of the attention panel."""
    heat = np.full((4, 4), 0.1, dtype=np.float32)
    heat[1, 2] = 0.9
    figure = page_of(replace(READING, patch_attention=heat))
    _, attention, evidence, *_ = [axes for axes in figure.axes if axes.images]
    grey, overlay = attention.images
    assert np.array_equal(np.asarray(grey.get_array()), PIXELS)
    opacity = np.asarray(overlay.get_array())[..., 3]
    assert np.argwhere(opacity > 0).tolist() == [[1, 2]]
    assert overlay.get_extent() == [-0.5, 31.5, 31.5, -0.5]
    colours = np.asarray(evidence.images[1].get_array())
    against = READING.patch_evidence == READING.patch_evidence.min()  # type: ignore[union-attr]
    red, _, blue, _ = colours[against][0]
    assert blue > red
