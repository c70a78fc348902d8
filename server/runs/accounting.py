"""What any one patient of each site has spent in a run, by both accountants. Pure.

A good update names the mechanism of its round, and every reply how many rounds of the run the
site's ledger has charged; these are composed after every round, and at the end. What no reply tells
counts as spent, unless the site was surely not asked: a lost, late or broken reply, and the round
in which a server was restarted, whose first replies are forgotten. So the result may be more than
the ledger's own, and is not less. Of a refused reply nothing is used (`server.runs.line_bounds`):
it counts as one that was never heard.

Patients of training, validation and test are different people, so the split that spent the most
counts. A site whose patients moved between splits tells an epsilon that no split explains; then all
that was charged is taken to have touched one patient.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from irene_model.errors import ProtocolError
from irene_model.privacy import Epsilons, Mechanism, epsilon, epsilons, evaluation_noise
from irene_model.study import HeldOut, Study
from server.runs.line_bounds import clean

Json = Mapping[str, Any]
_ROUNDING = 1e-6  # of two machines' PRV
# A site whose size changed more often than this is bounded by RDP alone: PRV composes one kind of
# step after the other, and a site could make every round another kind.
_MOST_KINDS = 8


def spent_until(
    lines: Sequence[Json],
    study: Study,
    *,
    start: Json | None = None,
    restarted: Collection[int] = (),
    last: bool = False,
) -> dict[str, float | None]:
    """What the newest of `lines` tells: site -> the epsilon of `spending`, None without noise.

    After the `last` line it is just that. Before, a number of rounds or evaluations beyond 128 is
    rounded up to seven bits, within the study's. That is a bound, of at most 1.6% more of them, and
    a long run composes 64 times while its rounds double, and not every time.
    """
    found = _spending(lines, [start or {}], study, restarted, ahead=not last)
    return {site: each["epsilon"] for site, each in found.items()}


def spending(
    lines: Sequence[Json],
    test: Json,
    study: Study,
    *,
    start: Json | None = None,
    restarted: Collection[int] = (),
) -> dict[str, Any]:
    """The `privacy` of results.json: site -> epsilon, rdp, prv, delta and unit.

    lines: the run's rounds. test: what became of each site's evaluation at the end; start: of that
    of the first weights, if the study has one. restarted: rounds that a resumed run may have begun
    before. `epsilon` is the smaller bound; a bound is None if it is unknown, and all are without
    noise. A site whose replies never came is not there: the server knows of no mechanism.
    """
    return _spending(lines, [start or {}, test], study, restarted, ahead=False)


def _spending(
    lines: Sequence[Json],
    tests: Sequence[Json],
    study: Study,
    restarted: Collection[int],
    *,
    ahead: bool,
) -> dict[str, Any]:
    lines = [clean(line) for line in lines]
    tests = [clean({"sites": test})["sites"] for test in tests]
    validations = [(line.get("evaluation") or {}).get("sites") or {} for line in lines]
    found = {}
    for site in dict.fromkeys(site for line in lines for site in line["sites"]):
        validated = [v[site] for v in validations if site in v]
        splits = [
            _charged(site, lines, study, restarted, ahead=ahead),
            _evaluated(validated, study, "validation", ahead=ahead),
            _evaluated([test[site] for test in tests if site in test], study, "test", ahead=ahead),
        ]
        if not any(splits):
            continue
        told = [
            entry["epsilon_told"]
            for entry in (each.get(site, {}) for each in (*validations, *tests))
            if entry.get("epsilon_told") is not None
        ]
        both = _of_one_patient(splits, told=max(told, default=0.0), delta=study.privacy.delta)
        found[site] = {
            "epsilon": _finite(both.smallest),
            "rdp": _finite(both.rdp),
            "prv": _finite(both.prv),
            "delta": study.privacy.delta,
            "unit": "patient",
        }
    return found


def _of_one_patient(
    splits: Sequence[Sequence[Mechanism]], *, told: float, delta: float
) -> Epsilons:
    """The larger bounds of all splits, if the epsilon that the site `told` is no larger."""
    each = [_bounds(mechanisms, delta) for mechanisms in splits if mechanisms]
    prvs = [both.prv for both in each]
    rdp = max(both.rdp for both in each)
    known = [prv for prv in prvs if prv is not None]
    most = Epsilons(rdp=rdp, prv=max(known) if len(known) == len(prvs) else None)
    if told > most.smallest * (1 + _ROUNDING):
        return _bounds([m for mechanisms in splits for m in mechanisms], delta)
    return most


def _bounds(mechanisms: Sequence[Mechanism], delta: float) -> Epsilons:
    if len({(each.noise_multiplier, each.sample_rate) for each in mechanisms}) > _MOST_KINDS:
        return Epsilons(rdp=epsilon(mechanisms, delta=delta), prv=None)
    return epsilons(mechanisms, delta=delta)


def _evaluated(
    entries: Sequence[Json], study: Study, split: HeldOut, *, ahead: bool
) -> list[Mechanism]:
    """The noised evaluations of one site; one of which nothing was heard may have been charged."""
    try:
        planned = evaluation_noise(study, split)
    except ProtocolError:
        planned = 0.0  # no noise reaches the study's epsilon, so every site has declined
    noises = [entry.get("noise_multiplier", planned) for entry in entries if _charges(entry)]
    named = [Mechanism(noise_multiplier=n, sample_rate=1.0, steps=1) for n in noises if n]
    return _at_least(named, _in_advance(len(named), study.evaluations(split)) if ahead else 0)


def _charges(entry: Json) -> bool:
    return "noise_multiplier" in entry or entry["outcome"] in ("missing", "refused", "failed")


def _charged(
    site: str, lines: Sequence[Json], study: Study, restarted: Collection[int], *, ahead: bool
) -> list[Mechanism]:
    local_steps, most = study.federation.local_steps, study.federation.rounds
    named: list[Mechanism] = []
    rounds = told = 0
    for line in lines:
        for late in (each for each in line.get("late", ()) if each.get("site") == site):
            # Its round was counted when the reply was missing; now its mechanism is known.
            if "sample_rate" in late:
                named.append(_mechanism(late, local_steps))
            rounds = max(rounds, len(named), late.get("rounds_charged", 0))
        entry = line["sites"].get(site, {"outcome": "absent"})
        if "sample_rate" in entry:
            named.append(_mechanism(entry, local_steps))
        if "rounds_charged" in entry:  # the ledger's word on all rounds until here
            told = max(told, entry["rounds_charged"])  # a count that falls is a lost ledger's
            rounds = max(len(named), told)
        elif may_be_charged(entry) or line["round"] in restarted:
            rounds += 1
    rounds = min(rounds, most)
    return _at_least(named, _in_advance(rounds, most) if ahead else rounds)


def _in_advance(count: int, planned: int) -> int:
    """`count`, rounded up to seven bits, so that few numbers occur; not beyond the `planned`."""
    unit = 1 << max(0, count.bit_length() - 7)
    return max(count, min(-(-count // unit) * unit, planned))


def _at_least(named: Sequence[Mechanism], count: int) -> list[Mechanism]:
    """`named`, and what is missing to `count`, as costly as the costliest may be.

    Nothing where none is named: there is no mechanism to count with.
    """
    if not named or len(named) >= count:
        return list(named)
    costliest = Mechanism(
        noise_multiplier=min(each.noise_multiplier for each in named),
        sample_rate=max(each.sample_rate for each in named),
        steps=max(each.steps for each in named),
    )
    return [*named, replace(costliest, steps=costliest.steps * (count - len(named)))]


def may_be_charged(entry: Json) -> bool:
    """Whether a site may have been charged for a round of which this is all that is known.

    `asked` says so where the outcome does not: a site that can't serve was not asked at all, and
    one that was asked in an earlier attempt at the round may be gone in the last.
    """
    return bool(entry.get("asked", entry["outcome"] not in ("declined", "absent", "waiting")))


def _mechanism(entry: Json, local_steps: int) -> Mechanism:
    return Mechanism(
        noise_multiplier=entry["noise_multiplier"],
        sample_rate=entry["sample_rate"],
        steps=local_steps,
    )


def _finite(epsilon: float | None) -> float | None:
    """JSON knows no infinity: without noise there is no epsilon."""
    return epsilon if epsilon is not None and math.isfinite(epsilon) else None
