"""What a comparison is asked, and whether its intervals support the answer (pure).

A claim is supported where all of its 95 % interval lies on the claim's side, and contradicted where
all of it lies on the other; else this comparison can't tell. Claims of several hospitals or several
models go by Holm's p values. Nothing here is corrected over the claims.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from irene_model.console import figure, known

Json = Mapping[str, Any]
_SURE = 0.05
_CLOSE = 0.01  # of the pooled AUROC: what counts as the same
_POOLED = "central"


class Verdict(StrEnum):
    """What the data say of a claim."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    OPEN = "can't be told"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A sentence, what the data say of it, and the figures that this rests on."""

    text: str
    verdict: Verdict
    why: str


def claims(results: Json) -> list[Claim]:
    """All claims that the finished rows bear on, in the order of the page."""
    return [*_joining(results), *_pooled(results), *_privacy(results), *_fusions(results)]


def signed(value: float | None) -> str:
    """A difference: +0.012."""
    number = known(value)
    return ("+" if number is not None and number >= 0 else "") + figure(number)


def with_bounds(text: str, bounds: Sequence[float] | None, way: Any = signed) -> str:
    """`+0.012 (+0.001 to +0.023)`."""
    return f"{text} ({way(bounds[0])} to {way(bounds[1])})" if bounds else text


def _joining(results: Json) -> Iterator[Claim]:
    for way, told in results.get("joining", {}).items():
        if not way.startswith(("federated", "personal")):
            continue
        gains = [g for g in told["sites"].values() if known(g["mean"]) is not None]
        more, less = _surely(gains)
        mean = told["mean"]
        yield Claim(
            text=f"The mean hospital gains by {way}",
            verdict=_above(mean["ci95"], 0.0),
            why=with_bounds(signed(mean["mean"]), mean["ci95"]),
        )
        if results["arms"].get(way, {}).get("epsilon") is not None:
            continue  # of several epsilons `_privacy` asks at which it is worth it
        yield Claim(
            text=f"Every hospital gains by {way}",
            verdict=_all(more, less, len(gains)),
            why=f"{sum(g['mean'] > 0 for g in gains)} of {len(gains)} are above their own model; "
            f"{more} surely gain, {less} surely lose",
        )
        size = told.get("small_less_large") or {"mean": None}
        if size["mean"] is not None:
            yield Claim(
                text=f"The smaller hospitals gain most by {way}",
                verdict=_above(size["ci95"], 0.0),
                why="the smaller half's mean gain less the larger half's: "
                + with_bounds(signed(size["mean"]), size["ci95"]),
            )


def _pooled(results: Json) -> Iterator[Claim]:
    for way, gap in results.get("pooled", {}).items():
        of = known(gap["of"])
        if of is not None and known(gap["mean"]) is not None and way.startswith("federated"):
            yield Claim(
                text=f"{way} comes within 1 % of pooled training without privacy",
                verdict=_above(gap["ci95"], -_CLOSE * of),
                why=f"{with_bounds(signed(gap['mean']), gap['ci95'])} from {figure(of)}",
            )


def _privacy(results: Json) -> Iterator[Claim]:
    """Of each way with several epsilons: the smallest at which the mean hospital surely gains."""
    ways: dict[str, dict[float, Verdict]] = {}
    for row, told in results.get("joining", {}).items():
        arm = results["arms"].get(row, {})
        if arm.get("epsilon") is not None and arm["site"] is None:
            name = f"{arm['arm']}/{arm['model']}"
            ways.setdefault(name, {})[arm["epsilon"]] = _above(told["mean"]["ci95"], 0.0)
    for way, at in ways.items():
        if len(at) < 2:
            continue
        least = min((e for e, verdict in at.items() if verdict is Verdict.SUPPORTED), default=None)
        asked = ", ".join(f"{epsilon:g}" for epsilon in sorted(at))
        lost = all(verdict is Verdict.CONTRADICTED for verdict in at.values())
        yield Claim(
            text=f"Joining by {way} is worth its privacy at one of epsilon {asked}",
            verdict=Verdict.SUPPORTED if least else Verdict.CONTRADICTED if lost else Verdict.OPEN,
            why=f"the mean hospital surely gains from epsilon {least:g} on"
            if least
            else "the mean hospital surely gains at none of them",
        )


def _fusions(results: Json) -> Iterator[Claim]:
    for way, told in results.get("models", {}).items():
        gaps = [
            gap | {"model": model}
            for model, gap in told["less_first"].items()
            if known(gap["mean"]) is not None
        ]
        more, less = _surely(gaps)
        better = [g["model"] for g in gaps if _sure(g) and g["mean"] > 0]
        untold = [g["model"] for g in gaps if not _sure(g)]
        words = [f"surely ahead of {less} of {len(gaps)}"]
        words += [f"surely behind {', '.join(better)}"] if better else []
        words += [f"not told from {', '.join(untold)}"] if untold else []
        if gaps:
            yield Claim(
                text=f"{told['first']} is first among the models of {way}",
                verdict=_all(less, more, len(gaps)),
                why="; ".join(words),
            )


def _above(bounds: Sequence[float] | None, least: float) -> Verdict:
    low, high = (known(bound) for bound in bounds or (None, None))
    if low is None or high is None:
        return Verdict.OPEN
    if low > least:
        return Verdict.SUPPORTED
    return Verdict.CONTRADICTED if high < least else Verdict.OPEN


def _all(yes: int, no: int, of: int) -> Verdict:
    if no:
        return Verdict.CONTRADICTED
    return Verdict.SUPPORTED if of and yes == of else Verdict.OPEN


def _sure(gap: Json) -> bool:
    p = known(gap.get("p_holm"))
    return p is not None and p < _SURE


def _surely(gaps: Sequence[Json]) -> tuple[int, int]:
    """How many are surely above 0, and how many surely below."""
    sure = [gap for gap in gaps if _sure(gap)]
    return sum(gap["mean"] > 0 for gap in sure), sum(gap["mean"] < 0 for gap in sure)
