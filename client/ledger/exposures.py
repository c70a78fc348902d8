"""What any one patient may have spent: charges of disjoint splits don't add up. Pure.

A charge reads the patients of one split. Let an *assignment* be a function that gives each patient
one split for good. A patient is touched by the charges that were made under the assignment for the
patient's split, and by none that were made under it for another (parallel composition, McSherry
2009, adaptively: what others sent is post-processing here). What a charge under another assignment
touched is unknown, so it counts for everyone. Hence, for whatever assignment one picks,

    epsilon of any patient <= max over splits s of epsilon(charges not under it, and those for s)

and as that holds for each, the smallest of these bounds holds too. With a single assignment it is
the maximum over the splits; where nothing is known (an empty assignment) all charges add up.
"""

from collections.abc import Iterable, Sequence

from client.ledger.history import Reservation
from irene_model.privacy import Epsilons, Mechanism, epsilon, epsilons
from irene_model.study import SPLITS, Split

Exposures = dict[Split, tuple[Mechanism, ...]]
"""For the patients of each split: all that can have touched one of them."""


def exposures(charges: Sequence[Reservation], assignment: str) -> Exposures:
    """Each split's charges if the patients' splits are those of `assignment`."""

    def touches(charge: Reservation, split: Split) -> bool:
        return not assignment or charge.assignment != assignment or charge.split == split

    return {s: tuple(c.mechanism for c in charges if touches(c, s)) for s in SPLITS}


def least_exposures(charges: Sequence[Reservation], *, delta: float) -> Exposures:
    """The exposures under the assignment that gives the smallest bound."""
    return _least([exposures(charges, a) for a in _assignments(charges)], delta)[1]


def concerned(
    charges: Sequence[Reservation], new: Reservation, *, delta: float
) -> tuple[float, Exposures]:
    """Epsilon by RDP, after `new`, of those whom `new` reads, and their exposures.

    Under the assignment of `new` these are the patients of its split; under another one they may
    be anybody.
    """
    after = [*charges, new]
    found = []
    for assignment in _assignments(after):
        each = exposures(after, assignment)
        found.append({new.split: each[new.split]} if assignment == new.assignment else each)
    return _least(found, delta)


def at_most(each: Exposures, *, delta: float) -> Epsilons:
    """By both accountants, the larger epsilon of all splits: seconds."""
    both = [epsilons(mechanisms, delta=delta) for mechanisms in set(each.values())]
    prvs = [e.prv for e in both if e.prv is not None]
    return Epsilons(rdp=max(e.rdp for e in both), prv=max(prvs) if len(prvs) == len(both) else None)


def counted(charges: Sequence[Reservation], *, delta: float) -> float:
    """Epsilon of any one patient as a budget counts it: the smaller bound, in up to seconds."""
    return at_most(least_exposures(charges, delta=delta), delta=delta).smallest


def _assignments(charges: Iterable[Reservation]) -> list[str]:
    return sorted({c.assignment for c in charges}) or [""]


def _least(choices: Sequence[Exposures], delta: float) -> tuple[float, Exposures]:
    """The choice whose worst split has the smallest epsilon, and that epsilon."""
    costs = [max(epsilon(m, delta=delta) for m in set(each.values())) for each in choices]
    best = min(range(len(costs)), key=costs.__getitem__)
    return costs[best], choices[best]
