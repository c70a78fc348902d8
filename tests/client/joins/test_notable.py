"""A likely cause that is no sure one is told where so many keys have it that a program did it."""

import pytest

from client.joins.partners import count_partners

OURS = [f"{n:05d}" for n in range(100, 200)]


@pytest.mark.parametrize("spoil", [lambda key: f"PAT{key}", lambda key: f"{key}x"])
@pytest.mark.parametrize(("spoilt", "told"), [(1, False), (2, False), (3, True), (40, True)])
def test_a_prefix_of_some_keys(spoil, spoilt: int, told: bool) -> None:  # type: ignore[no-untyped-def]
    theirs = [spoil(key) for key in OURS[:spoilt]] + OURS[spoilt:]
    counts = count_partners(OURS, theirs, key="records.joins.0", table="pat.csv", on="pid")
    said = counts.doubt()
    assert (said is not None) == told
    if said is not None:
        assert said == (
            f"pat.csv, joined by 'pid' (records.joins.0): {spoilt} of {spoilt} keys without a "
            "partner differ only by letters before or after the number; write the same prefix in "
            "both, if they are one's"
        )
