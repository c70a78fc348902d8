"""What left the hospitals besides updates, as it really happened: under a mechanism, or not.

A pure function of the run's records, so that the list can't promise what the run did not do.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Disclosure:
    """Sentences. covered: charged to the ledgers; outside: without any guarantee."""

    covered: tuple[str, ...]
    outside: tuple[str, ...]


def disclosure(
    rounds: Sequence[Json], test: Mapping[str, Json], start: Mapping[str, Json] | None = None
) -> Disclosure:
    """Of the lines of rounds.jsonl, and the sites' entries of the evaluation on test patients.

    start: their entries of the evaluation of the first weights, if there was one.
    """
    tests, secure = [start or {}, test], any("secure" in line for line in rounds)
    validations = [line["evaluation"].get("sites", {}) for line in rounds if line.get("evaluation")]
    covered, outside = [], []
    for split, evaluations in (("validation", validations), ("test", tests)):
        for noise, times, sites in _groups(evaluations):
            what = f"score histograms of {split} patients, {_times(times)}, from {sites}"
            if secure:
                what += ", of which the coordinator saw the sum alone"
            if noise:
                covered.append(f"{what}: with Gaussian noise, noise multiplier {noise:.3g}")
            else:
                outside.append(f"{what}: exact counts of patients, and a count may be one patient")
    if withheld := _withheld([*validations, *tests]):
        outside.append(
            "that fewer patients than the hospital's minimum group have a finding, or have it "
            f"not: {withheld}"
        )
    updated = any(p["outcome"] == "updated" for line in rounds for p in line["sites"].values())
    if updated and not secure:
        outside.append(
            "the declared number of training patients, by default the count rounded to two digits "
            "and never finer than tens, and the sampling rate and noise multiplier that follow"
        )
    trainers = {site for line in rounds for site in line["sites"]}
    judges = {
        site
        for evaluations in (*validations, *tests)
        for site, entry in evaluations.items()
        if entry["outcome"] == "evaluated" and site not in trainers
    }
    if rounds and judges:
        outside.append(
            "the declared number of held-out patients, by default rounded to two digits, of "
            f"hospitals that only evaluate: {', '.join(sorted(judges))}"
        )
    outside += [
        "the epsilons of a hospital's ledger"
        if secure
        else "which of the study's findings and kinds of data a hospital has columns for, and the "
        "epsilons of its ledger",
        "whether and when a site replied, how long it took, what it declined, and the kind of an "
        "error",
    ]
    return Disclosure(covered=tuple(covered), outside=tuple(outside))


def _groups(evaluations: Sequence[Mapping[str, Json]]) -> Iterator[tuple[float, int, str]]:
    """(noise multiplier, how often, the sites) of what was sent, equal ones together."""
    sent: dict[str, list[float]] = {}
    for sites in evaluations:
        for site, entry in sites.items():
            if entry["outcome"] == "evaluated":
                sent.setdefault(site, []).append(entry["noise_multiplier"])
    kinds = {(noise, noises.count(noise)) for noises in sent.values() for noise in noises}
    for noise, times in sorted(kinds):
        names = [site for site, noises in sent.items() if noises.count(noise) == times]
        yield noise, times, ", ".join(sorted(names))


def _withheld(evaluations: Sequence[Mapping[str, Json]]) -> str:
    found: dict[str, set[str]] = {}
    for sites in evaluations:
        for site, entry in sites.items():
            found.setdefault(site, set()).update(entry.get("withheld", ()))
    return "; ".join(f"{s} ({', '.join(sorted(names))})" for s, names in found.items() if names)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
