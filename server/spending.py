"""What each site's training patients have spent in a run, by both accountants. Pure.

An update names the mechanism of its round, and every reply how many rounds of the run the site's
ledger has charged; these are composed once, at the end, since PRV takes up to seconds. What no
reply tells counts as spent, unless the site was surely not asked: a lost, late or broken reply, and
the round in which a server was restarted, whose first replies are forgotten. So the result may be
more than the ledger's own, and is not less.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from irene_model.privacy import Mechanism, epsilons

Json = Mapping[str, Any]


def spending(
    lines: Sequence[Json], *, local_steps: int, delta: float, restarted: Collection[int] = ()
) -> dict[str, Any]:
    """The `privacy` of results.json: site -> epsilon, rdp, prv, delta and unit.

    lines: the run's rounds. restarted: rounds that a resumed run may have begun before. `epsilon`
    is the smaller bound; a bound is None if it is unknown, and all are without noise. A site whose
    replies never came is not there: the server knows of no mechanism.
    """
    found = {}
    for site in dict.fromkeys(site for line in lines for site in line["sites"]):
        mechanisms = _charged(site, lines, local_steps, restarted)
        if mechanisms:
            both = epsilons(mechanisms, delta=delta)
            found[site] = {
                "epsilon": _finite(both.smallest),
                "rdp": _finite(both.rdp),
                "prv": _finite(both.prv),
                "delta": delta,
                "unit": "patient",
            }
    return found


def _charged(
    site: str, lines: Sequence[Json], local_steps: int, restarted: Collection[int]
) -> list[Mechanism]:
    named: list[Mechanism] = []
    rounds = 0
    for line in lines:
        entry = line["sites"].get(site, {"outcome": "absent"})
        if "noise_multiplier" in entry:
            named.append(
                Mechanism(
                    noise_multiplier=entry["noise_multiplier"],
                    sample_rate=entry["sample_rate"],
                    steps=local_steps,
                )
            )
        if "rounds_charged" in entry:  # the ledger's word on all rounds until here
            rounds = max(len(named), entry["rounds_charged"])
        elif entry["outcome"] not in ("declined", "absent") or line["round"] in restarted:
            rounds += 1
    if not named:
        return []
    costliest = Mechanism(
        noise_multiplier=min(each.noise_multiplier for each in named),
        sample_rate=max(each.sample_rate for each in named),
        steps=local_steps,
    )
    return [*named, *[costliest] * (rounds - len(named))]


def _finite(epsilon: float | None) -> float | None:
    """JSON knows no infinity: without noise there is no epsilon."""
    return epsilon if epsilon is not None and math.isfinite(epsilon) else None
