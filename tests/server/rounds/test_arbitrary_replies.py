"""Whatever one site replies, the run ends with results, and the others' figures are their own.

Real messages go through the real round loop. Two hospitals are honest; the third's replies are
true ones with fields, arrays or whole records replaced by anything that Flower would carry.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from flwr.serverapp import Grid
from hypothesis import given, settings
from hypothesis import strategies as st

from irene_model.exchange.protocol import Arrays, Flat
from irene_model.exchange.protocol import Message as Typed
from irene_model.study.bundle import bundled
from irene_model.study.wire import Packed, pack
from server.app import execute
from server.runs.lines import Json
from server.runs.run_folder import RunFolder
from tests.helpers.direct_grid import DirectGrid, Node, records_of
from tests.helpers.federations.hurry import hurry
from tests.helpers.made_up_site import made_up_site, study_of

STUDY = study_of(
    {"rounds": 2, "round_deadline_s": 2.0},
    privacy={"noise_multiplier": 1.5, "delta": 1e-3, "clip_norm": 1.0},
    evaluation={"noise_multiplier": 1.0},
)
HONEST = ("east", "north")
FIELDS = (
    "kind", "protocol", "site", "outcome", "reason", "code", "wire", "round", "fingerprint",
    "weight", "noise_multiplier", "sample_rate", "rounds_charged", "modalities", "labels",
    "epsilon_run", "epsilon_total", "seconds", "deviation", "arrays", "extra",
)  # fmt: skip
"""All fields of all replies, and two that none has."""


pytestmark = pytest.mark.usefixtures("hurried")


numbers = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, -1.0, 1e-300, 1e13, 1e200, 1e308, float("nan"), float("inf")]),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([-1, 0, 1, 10**13, 2**62]),
    st.booleans(),
)
texts = st.one_of(
    st.text(max_size=200),
    st.sampled_from(
        ["", "../../x", "a\n2026 WARNING forged", "\x1b[31m", "\u202eabc", "x" * 100_000, "updated",
         "evaluated", "declined", "failed", "ready", "waiting", "budget", "1", "11", "0" * 64]
    ),
)  # fmt: skip
anything = st.one_of(
    numbers,
    texts,
    st.binary(max_size=20),
    st.lists(st.floats(), max_size=3),
    st.lists(texts, max_size=3),
)
changes = st.dictionaries(st.sampled_from(FIELDS), st.none() | anything, max_size=3)


@st.composite
def arrays(draw: st.DrawFn) -> Any:
    """How the arrays of a reply are spoiled: a function of them."""
    name = draw(st.sampled_from(["head.bias", "head.weight", "histograms", "labels", "a\nb"]))
    value = draw(st.floats(width=32) | st.sampled_from([1e30, -1e30, 1e15, float("nan")]))
    dtype = draw(st.sampled_from([np.float32, np.float64, np.int8, np.int64]))
    shape = draw(st.lists(st.integers(0, 3), max_size=4))
    how = draw(st.sampled_from(["fill", "one", "drop", "shape", "none", "extra"]))

    def spoiled(kept: Arrays) -> Arrays:
        with np.errstate(all="ignore"):
            if how == "none":
                return {}
            if how == "drop":
                return {k: v for k, v in kept.items() if k != name}
            if how in ("shape", "extra"):
                odd = np.full(shape, value).astype(dtype)
                return {**kept, name if how == "shape" else "more": odd}
            result = {k: np.array(v) for k, v in kept.items()}
            for array in result.values() if name not in result else [result[name]]:
                if array.size:
                    array.flat[slice(None) if how == "fill" else 0] = np.array(value).astype(
                        array.dtype
                    )
            return result

    return spoiled


packed = st.builds(
    Array,
    st.sampled_from(["float32", "int8", "plain int64", "odd", ""]),
    st.lists(st.integers(-1, 2**40), max_size=3).map(tuple),
    st.just("irene"),
    st.binary(max_size=16),
)


@st.composite
def lies(draw: st.DrawFn) -> Any:
    """What becomes of one true reply on its way: a function of it, or one of Flower's errors."""
    what = draw(
        st.sampled_from(["values", "values", "values", "arrays", "records", "bytes", "bundle", 8])
    )
    fields, spoiled = draw(changes), draw(arrays())
    missing = draw(st.sets(st.sampled_from(["arrays", "values"]), min_size=1))
    odd = draw(st.dictionaries(st.sampled_from(["head.bias", "histograms", "x"]), packed))

    def told(reply: Typed) -> RecordDict | int:
        flat = reply.to_flat()
        if what == 8:
            return 8
        if what == "arrays":
            return records_of(Flat(arrays=spoiled(flat.arrays), values=flat.values))
        records = records_of(flat)
        if what == "values":
            values = {**flat.values, **fields}
            kept: Any = {k: v for k, v in values.items() if v is not None}
            return RecordDict({"arrays": records["arrays"], "values": ConfigRecord(kept)})
        if what == "bundle":
            inside = {name: _packed(each) for name, each in odd.items()}
            true = {name: pack(array, flat.encoding) for name, array in flat.arrays.items()}
            each = {name: _array(one) for name, one in bundled({**true, **inside}).items()}
            return RecordDict({"arrays": ArrayRecord(each), "values": records["values"]})
        if what == "bytes":
            each = {**records.array_records["arrays"], **odd}
            return RecordDict({"arrays": ArrayRecord(each), "values": records["values"]})
        rest = {k: v for k, v in records.items() if k not in missing}
        return RecordDict({**rest, "more": MetricRecord({"x": 1.0})})

    return told


def _packed(array: Array) -> Packed:
    return Packed(encoding=array.dtype, shape=tuple(array.shape), data=array.data)


def _array(packed: Packed) -> Array:
    return Array(packed.encoding, packed.shape, "irene", packed.data)


def run(path: Path, replies: Iterator[Any]) -> tuple[Json, RunFolder]:
    """A run in which south's true replies become what `replies` make of them."""
    nodes = {n: made_up_site(STUDY, site, evaluates=True) for n, site in enumerate(HONEST, 1)}
    true = made_up_site(STUDY, "south", evaluates=True).answer
    nodes[3] = Node(lambda flat: next(replies)(true(flat)))
    folder = RunFolder.create(path, STUDY, seed=1)
    execute(cast(Grid, DirectGrid(nodes)), folder, expected_sites=2, give_up=True)
    return json.loads((folder.path / "results.json").read_text(encoding="utf-8")), folder


def declines(reply: Typed) -> RecordDict:
    """A site that is there and gives nothing."""
    if reply.kind == "here":
        return records_of(reply.to_flat())
    said = {"outcome": "declined", "reason": "no", "arrays": {}}
    return records_of(reply.model_copy(update=said).to_flat())


def forever(function: Any) -> Iterator[Any]:
    while True:
        yield function


@pytest.fixture(scope="module")
def without_south(tmp_path_factory: pytest.TempPathFactory) -> tuple[Json, RunFolder]:
    """What the two honest sites' figures are where the third gives nothing."""
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        return run(tmp_path_factory.mktemp("runs") / "run", forever(declines))


def is_honest(reply: Typed) -> RecordDict:
    return records_of(reply.to_flat())


def check(found: Json, folder: RunFolder, without: tuple[Json, RunFolder]) -> None:
    """The run has ended with results, and the honest sites' figures are what they were."""
    expected, quiet = without
    arm, other = found["arms"]["federated-dp"], expected["arms"]["federated-dp"]
    for site in HONEST:
        assert arm["privacy"][site] == other["privacy"][site]
        assert arm["auroc"]["by_site"][site] == other["auroc"]["by_site"][site]
    lines = folder.rounds()
    assert len(lines) == STUDY.federation.rounds
    for line, before in zip(lines, quiet.rounds(), strict=True):
        for site in HONEST:
            told, was = dict(line["sites"][site]), dict(before["sites"][site])
            for entry in (told, was):
                entry.pop("waited_s", None)
            assert told == was
    if not any(line["sites"].get("south", {}).get("outcome") == "updated" for line in lines):
        weights, others = (f.load_checkpoint(2) for f in (folder, quiet))
        for name, array in weights.items():
            np.testing.assert_array_equal(array, others[name])
    if arm["evaluation"]["sites"].get("south", {}).get("outcome") != "evaluated":
        assert arm["auroc"]["macro"] == other["auroc"]["macro"]
        assert arm["auroc"]["by_label"] == other["auroc"]["by_label"]
    assert (folder.path / "report.html").stat().st_size < 10**6
    text = (folder.path / "rounds.jsonl").read_text(encoding="utf-8")
    assert len(text) < 20_000 and "NaN" not in text and "Infinity" not in text
    log = (folder.path / "run.log").read_text(encoding="utf-8")
    assert all(line[:4].isdigit() and " server." in line for line in log.splitlines())
    assert "\x1b" not in log and "\u202e" not in log


@pytest.mark.slow
@given(st.lists(lies(), min_size=10, max_size=10), st.integers(0, 3))
@settings(max_examples=60)
def test_arbitrary_replies_end_no_run_and_change_nobody_elses_figures(
    without_south: tuple[Json, RunFolder], drawn: list[Any], greeted: int
) -> None:
    with TemporaryDirectory() as place:
        replies = iter([*([is_honest] if greeted else []), *drawn, *[declines] * 50])
        check(*run(Path(place) / "run", replies), without_south)


@given(st.lists(lies(), min_size=10, max_size=10))
@settings(max_examples=4)
def test_a_few_arbitrary_replies(without_south: tuple[Json, RunFolder], drawn: list[Any]) -> None:
    with TemporaryDirectory() as place:
        check(*run(Path(place) / "run", iter([is_honest, *drawn, *[declines] * 50])), without_south)
