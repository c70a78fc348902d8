"""One site's part of a run, from the run's lines. Pure but for reading results.json."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from irene_model.console import known
from irene_model.study import Study
from server.runs import JsonMapping, end_of, epsilon_in, read_json

_UNHEARD = ("absent", "missing")


@dataclass(frozen=True, kw_only=True)
class SiteProgress:
    """One site's part of a run.

    outcomes: its outcome in each line of the run, None where the line doesn't name it. outcome,
    reason: the newest. last_seen: the end of the last round in which something came from it.
    epsilon: spent in this run at the study's delta, by the smaller of both bounds, as the newest
    line tells it; None where unknown or without noise. settled: it is that of results.json, which
    counts the evaluation at the end too. epsilon_alone: under secure sums, what it is if everybody
    else colludes; else None.
    """

    name: str
    outcomes: tuple[str | None, ...]
    outcome: str | None
    reason: str
    last_seen: datetime | None
    epsilon: float | None
    settled: bool
    bytes_up: int
    epsilon_alone: float | None = None

    def left(self, asked: float | None) -> float | None:
        """What is left of the run's `asked` epsilon, never below 0; None where unknown.

        A site that gave nothing yet has all of it.
        """
        return None if asked is None else max(0.0, asked - (self.epsilon or 0.0))


def site_progress(
    name: str, lines: Sequence[JsonMapping], waiting: JsonMapping, settled: JsonMapping
) -> SiteProgress:
    """The part of site `name`. waiting: what run.json says of a round that is not over.

    settled: its `privacy` in results.json, empty where that is not there.
    """
    entries: list[JsonMapping] = [line["sites"].get(name, {}) for line in lines]
    heard = [
        line
        for line, entry in zip(lines, entries, strict=True)
        if entry and entry["outcome"] not in _UNHEARD
    ]
    newest: JsonMapping = waiting.get("sites", {}).get(name) or (entries[-1] if entries else {})
    # What was spent only grows, but where silence was counted and a later reply says it cost less.
    told = [settled, newest, *reversed(entries)]
    at_the_end = epsilon_in(settled)
    return SiteProgress(
        name=name,
        outcomes=tuple(entry.get("outcome") for entry in entries),
        outcome=newest.get("outcome"),
        reason=str(newest.get("reason") or ""),
        last_seen=end_of(heard[-1]) if heard else None,
        epsilon=_first(told, "epsilon"),
        settled=at_the_end is not None,
        bytes_up=int(known(sum(known(entry.get("bytes_up")) or 0 for entry in entries)) or 0),
        epsilon_alone=_first(told, "epsilon_alone"),
    )


def _first(told: Sequence[JsonMapping], key: str) -> float | None:
    """The first epsilon among `told` that is known."""
    found = (epsilon_in(entry, key) for entry in told)
    return next((epsilon for epsilon in found if epsilon is not None), None)


def asked_epsilon(study: Study) -> float | None:
    """The larger one of training's and evaluation's: they touch different patients."""
    both = (study.privacy, study.evaluation_noise)
    asked = [each.epsilon for each in both if each.noise_multiplier is None]
    return max((each for each in asked if each is not None), default=None)


def settled_epsilons(folder: Path, info: JsonMapping) -> Mapping[str, JsonMapping]:
    """Each site's `privacy` as results.json gives it, once that is there."""
    try:
        privacy = read_json(folder / "results.json")["arms"][info["arm"]]["privacy"]
        return {name: spent for name, spent in privacy.items() if epsilon_in(spent) is not None}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
