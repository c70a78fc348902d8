"""What any one patient of each site has spent in a run of secure sums, against whom. Pure.

Every attempt that a site was in is charged with the noise of the sites that were in it, whether it
led to a sum or not: the server computes it from who was asked. It is spared where the site itself
said that it gave nothing, which a site does before its ledger is written.

A patient's epsilon is told twice: against the coordinator together with any `colluding` sites, from
the noise of all others together, and against everybody else together, from the own site's noise
alone. See docs/privacy.md.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from irene_model.privacy import (
    Epsilons,
    Mechanism,
    epsilon,
    epsilons,
    joint_noise,
)
from irene_model.secure import sample_rate, share_of_evaluation, share_of_training
from irene_model.study import HELD_OUT, HeldOut, Secure, Study

Json = Mapping[str, Any]
TRAIN = "train"
# Kinds of steps, by how many were in them: PRV composes kind after kind, and RDP is quick.
_MOST_KINDS = 8


def secure_of(study: Study) -> Secure:
    """The study's secure sums; it must have them."""
    assert study.federation.secure is not None
    return study.federation.secure


def planned_share(study: Study, what: str) -> float:
    """What each site adds of the noise, over what one patient moves a sum by; 0 for none.

    what: "train", or the split of an evaluation. Raises ProtocolError for an epsilon that no noise
    reaches.
    """
    return share_of_training(study) if what == TRAIN else share_of_evaluation(study, _split(what))


def noise_among(study: Study, what: str, sites: int) -> float:
    """The noise multiplier of a sum of so many sites, against all but those that collude."""
    colluding = secure_of(study).colluding
    return joint_noise(planned_share(study, what), sites=sites, colluding=colluding)


def shared_spending(
    attempts: Iterable[Json], study: Study, *, ahead: bool = False
) -> dict[str, dict[str, Any]]:
    """The `privacy` of results.json: site -> epsilon, rdp, prv, epsilon_alone, delta and unit.

    attempts: all of the run. ahead: numbers of steps are rounded up to seven bits, within the
    study's where they are, so that a long run composes seldom; the result is a bound then. A bound
    is None where it is unknown, and without noise.
    """
    # What is asked for without noise, as exact counts, is outside the guarantee and not in it.
    noised = [a for a in attempts if a["what"] == TRAIN or planned_share(study, a["what"])]
    charged = _charged(noised)
    found: dict[str, dict[str, Any]] = {}
    for site, splits in sorted(charged.items()):
        bounds = [_bounds(_joint(study, what, n, ahead), study) for what, n in splits.items()]
        alone = [_bounds(_alone(study, what, n, ahead), study) for what, n in splits.items()]
        worst = max(bounds, key=lambda each: each.smallest)
        known = [each.prv for each in bounds if each.prv is not None]
        found[site] = {
            "epsilon": _finite(worst.smallest),
            "rdp": _finite(max(each.rdp for each in bounds)),
            "prv": _finite(max(known)) if len(known) == len(bounds) else None,
            "epsilon_alone": _finite(max(each.smallest for each in alone)),
            "colluding": secure_of(study).colluding,
            "delta": study.privacy.delta,
            "unit": "patient",
        }
    return found


def _charged(attempts: Iterable[Json]) -> dict[str, dict[str, Counter[int]]]:
    """Site -> what -> how often it was in a sum of so many sites.

    Patients of training, validation and test are different people, so each split counts alone.
    """
    found: dict[str, dict[str, Counter[int]]] = {}
    for each in attempts:
        partners = each["partners"]
        for site in set(partners) - set(each.get("spared", ())):
            found.setdefault(site, {}).setdefault(each["what"], Counter())[len(partners)] += 1
    return found


def _joint(study: Study, what: str, counts: Counter[int], ahead: bool) -> list[Mechanism]:
    least = secure_of(study).colluding + 1  # no server asks so few; a file may say so
    return [
        _mechanism(
            study, what, noise_among(study, what, max(n, least)), _whole(study, what, count, ahead)
        )
        for n, count in sorted(counts.items())
    ]


def _alone(study: Study, what: str, counts: Counter[int], ahead: bool) -> list[Mechanism]:
    share, count = planned_share(study, what), counts.total()
    return [_mechanism(study, what, share, _whole(study, what, count, ahead))]


def _mechanism(study: Study, what: str, noise: float, steps: int) -> Mechanism:
    rate = sample_rate(study) if what == TRAIN else 1.0
    return Mechanism(noise_multiplier=noise, sample_rate=rate, steps=steps)


def _whole(study: Study, what: str, count: int, ahead: bool) -> int:
    """`count`, or a little more of which few values occur, not beyond what the study plans."""
    if not ahead:
        return count
    planned = study.total_steps if what == TRAIN else study.evaluations(_split(what))
    unit = 1 << max(0, count.bit_length() - 7)
    return max(count, min(-(-count // unit) * unit, planned))


def _bounds(mechanisms: Sequence[Mechanism], study: Study) -> Epsilons:
    delta = study.privacy.delta
    if any(each.noise_multiplier == 0 for each in mechanisms):
        return Epsilons(rdp=math.inf, prv=None)
    if len(mechanisms) > _MOST_KINDS:
        return Epsilons(rdp=epsilon(mechanisms, delta=delta), prv=None)
    return epsilons(mechanisms, delta=delta)


def _split(what: str) -> HeldOut:
    for split in HELD_OUT:
        if split == what:
            return split
    raise ValueError(f"no split that is evaluated: {what}")


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
