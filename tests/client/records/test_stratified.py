"""Stratified splits: each label alike in each, patients whole and steady."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.records.splits import stratified
from client.site.splits import Splits
from irene_model.study.records import SPLITS

LABELS = ("a", "b", "c")
PATIENTS = st.dictionaries(
    st.text("0123456789", min_size=1, max_size=4),
    st.frozensets(st.sampled_from(LABELS)),
    min_size=1,
    max_size=60,
)
SHARES = Splits(validation=0.2, test=0.3)


@given(PATIENTS)
def test_each_label_is_as_frequent_as_whole_patients_allow(
    labels_of: dict[str, frozenset[str]],
) -> None:
    homes = stratified(labels_of, SHARES, {})
    assert homes.keys() == labels_of.keys()
    assert stratified(dict(reversed(labels_of.items())), SHARES, {}) == homes
    # Of one label alone no split is off by a patient or more.
    single = {p: labels & {"a"} for p, labels in labels_of.items()}
    homes = stratified(single, SHARES, {})
    having = [p for p, labels in single.items() if labels]
    counts = Counter(homes[p] for p in having)
    for split, share in zip(SPLITS, (0.5, 0.2, 0.3), strict=True):
        assert abs(counts[split] - share * len(having)) <= 1


@given(PATIENTS, st.sampled_from(SPLITS))
def test_who_is_known_stays(labels_of: dict[str, frozenset[str]], split: str) -> None:
    kept = dict.fromkeys(list(labels_of)[::2], split)
    homes = stratified(labels_of, SHARES, kept)  # type: ignore[arg-type]
    assert all(homes[patient] == split for patient in kept)


def test_rare_labels_reach_every_split_that_a_hash_would_miss() -> None:
    rng = random.Random(3)
    labels_of = {
        f"P{n}": frozenset(
            [*(["rare"] if n % 50 == 0 else []), *(["usual"] if rng.random() < 0.4 else [])]
        )
        for n in range(500)
    }
    homes = stratified(labels_of, Splits(validation=0.2, test=0.2), {})
    rare = Counter(homes[patient] for patient, labels in labels_of.items() if "rare" in labels)
    assert rare == {"train": 6, "validation": 2, "test": 2}
    sizes = Counter(homes.values())
    usual = Counter(homes[patient] for patient, labels in labels_of.items() if "usual" in labels)
    for split, share in (("train", 0.6), ("validation", 0.2), ("test", 0.2)):
        assert sizes[split] == pytest.approx(share * 500, abs=2)
        assert usual[split] == pytest.approx(share * usual.total(), abs=2)
