"""What one patient may have spent, against every patient that there could be."""

import itertools
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from client.ledger.exposures import at_most, concerned, least_exposures
from client.ledger.history import Reservation
from irene_model.privacy.accountants import Mechanism, epsilon, epsilons
from irene_model.study.records import SPLITS, Split

DELTA = 1e-5
UPDATE = Mechanism(noise_multiplier=1.0, sample_rate=0.1, steps=20)
EVALUATION = Mechanism(noise_multiplier=1.5, sample_rate=1.0, steps=1)
ASSIGNMENTS = ("", "first", "second")


def charge(split: Split, assignment: str, mechanism: Mechanism = UPDATE) -> Reservation:
    return Reservation(
        id=1,
        run="r",
        round=1,
        split=split,
        assignment=assignment,
        mechanism=mechanism,
        clip_norm=1.0,
        released=False,
    )


CHARGES = st.lists(
    st.builds(
        charge,
        st.sampled_from(SPLITS),
        st.sampled_from(ASSIGNMENTS),
        st.sampled_from([UPDATE, EVALUATION]),
    ),
    max_size=8,
)


def spent(charges: Sequence[Reservation], *, delta: float) -> float:
    """By RDP alone, which is quick."""
    each = least_exposures(charges, delta=delta)
    return max(epsilon(mechanisms, delta=delta) for mechanisms in each.values())


def of_everyone(charges: Sequence[Reservation]) -> dict[tuple[Split, Split], float]:
    """Epsilon of each kind of patient: the split under the first and under the second assignment.

    Where the assignment is unknown, the patient is taken to be in whatever split is read.
    """
    cost = {}
    for first, second in itertools.product(SPLITS, repeat=2):
        home = {"first": first, "second": second}
        touching = [c.mechanism for c in charges if home.get(c.assignment, c.split) == c.split]
        cost[first, second] = epsilon(touching, delta=DELTA)
    return cost


@given(charges=CHARGES)
def test_nobody_spent_more_than_the_bound(charges: list[Reservation]) -> None:
    assert spent(charges, delta=DELTA) >= max(of_everyone(charges).values())


@given(charges=CHARGES)
def test_with_one_assignment_the_bound_is_what_somebody_spent(charges: list[Reservation]) -> None:
    known = [c for c in charges if c.assignment != "second"]
    assert spent(known, delta=DELTA) == max(of_everyone(known).values())


@given(charges=CHARGES, new=CHARGES.filter(bool).map(lambda each: each[0]))
def test_those_whom_a_charge_reads_spent_no_more_than_it_says(
    charges: list[Reservation], new: Reservation
) -> None:
    after, exposures = concerned(charges, new, delta=DELTA)
    for (first, second), cost in of_everyone([*charges, new]).items():
        home = {"first": first, "second": second}.get(new.assignment, new.split)
        assert home != new.split or after >= cost
    assert after == max(epsilon(m, delta=DELTA) for m in exposures.values())
    assert after <= epsilon([c.mechanism for c in [*charges, new]], delta=DELTA) + 1e-12


def test_disjoint_splits_cost_their_maximum_and_moved_patients_the_sum() -> None:
    apart = [charge("train", "first"), charge("test", "first", EVALUATION)]
    moved = [charge("train", "first"), charge("test", "second", EVALUATION)]
    unknown = [charge("train", ""), charge("test", "", EVALUATION)]
    alone = [epsilon([m], delta=DELTA) for m in (UPDATE, EVALUATION)]
    assert spent(apart, delta=DELTA) == max(alone)
    together = epsilon([UPDATE, EVALUATION], delta=DELTA)
    assert spent(moved, delta=DELTA) == spent(unknown, delta=DELTA) == together > max(alone)


def test_a_short_spell_under_another_assignment_costs_only_itself() -> None:
    """Otherwise one patient more in a split column would add up all that was spent before."""
    before = [charge(split, "first") for split in SPLITS for _ in range(5)]
    spell = charge("test", "second", EVALUATION)
    assert spent([*before, spell], delta=DELTA) == epsilon([UPDATE] * 5 + [EVALUATION], delta=DELTA)


def test_both_accountants_see_the_worst_split() -> None:
    charges = [charge("train", "first"), charge("test", "first", EVALUATION)]
    both = at_most(least_exposures(charges, delta=DELTA), delta=DELTA)
    alone = [epsilons([m], delta=DELTA) for m in (UPDATE, EVALUATION)]
    assert both.rdp == max(e.rdp for e in alone)
    assert both.prv == max(e.prv for e in alone if e.prv is not None)
    assert at_most(least_exposures([], delta=DELTA), delta=DELTA).smallest == 0
