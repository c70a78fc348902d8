"""Keys as they are compared, and why others are not alike."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.joins.causes import likely_cause
from client.joins.codes import cause_of_codes, passed_over
from client.joins.keys import compared
from client.joins.partners import count_partners, judge


@pytest.mark.parametrize(
    "cell", ["P1", " P1 ", "P1\u200b", "\ufeffP1", "P1\u00a0", "P\u200d1", "\u200eP1\u00ad\u3000"]
)
def test_what_nobody_sees_is_no_part_of_a_key(cell: str) -> None:
    assert compared([cell, "P2"]) == ["P1", "P2"]


def test_one_letter_has_one_encoding() -> None:
    assert compared(["Mu\u0308ller"]) == compared(["M\u00fcller"])


def test_a_column_of_whole_floats_loses_its_points_and_a_mixed_one_does_not() -> None:
    assert compared(["12.0", "7.00", "", "-3.0"]) == ["12", "7", "", "-3"]
    assert compared(["12.0", "7"]) == ["12.0", "7"]
    assert compared(["1.0", "1.5"]) == ["1.0", "1.5"]


@given(
    st.lists(
        st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1).filter(
            lambda key: "." not in key
        ),
        unique=True,
    )
)
def test_two_ids_never_become_one(ids: list[str]) -> None:
    assert compared(ids) == ids
    assert len(set(compared([f"{each}\u200b\u00a0" for each in ids]))) == len(ids)


OURS = [f"{n:05d}" for n in range(100, 112)]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda key: str(int(key)), "by leading zeros"),
        (lambda key: f"{key}.0", "by '.0' at the end"),
        (lambda key: f"{key[:3]} {key[3:]}", "by spaces or punctuation"),
        (lambda key: "".join(chr(ord(sign) + 0xFEE0) for sign in key), "by full-width"),
        (lambda key: f"{int(key)}.0", "by zeros, case, spaces or punctuation together"),
        (lambda key: f"PAT{key}", "by letters before or after the number"),
    ],
)
def test_the_cause_is_named_and_counted(spoil, said: str) -> None:  # type: ignore[no-untyped-def]
    cause = likely_cause(set(OURS), {spoil(key) for key in OURS})
    assert cause is not None and cause.near == 12
    assert cause.said.startswith(f"12 of 12 keys without a partner differ only {said}")


def test_case_alone_is_told_apart() -> None:
    cause = likely_cause({"pat1", "pat2"}, {"PAT1", "PAT2"})
    assert cause is not None and "by upper and lower case" in cause.said


def test_a_guess_between_two_is_no_cause() -> None:
    assert likely_cause({"007", "07"}, {"7"}) is None
    assert likely_cause({"A"}, {"B"}) is None
    assert likely_cause(set(), {"1"}) is None


def judged(ours: list[str], theirs: list[str], least: float | None = None) -> str | None:
    counts = count_partners(ours, theirs, key="records.joins.0", table="pat.csv", on="pid")
    return judge(counts, least)


def test_a_share_of_the_smaller_side_decides() -> None:
    many = [f"P{n}" for n in range(1000)]
    assert judged(many[:10], many) is None  # a table of the whole house
    assert judged(many, many[:10]) is None  # a table of few
    few = many[:4] + [f"Q{n}x" for n in range(6)]
    assert "4 of 10 keys have a partner" in str(judged(many, few))
    assert judged(many, few, 0.4) is None
    assert judged(many, few, 0.41) is not None
    assert judged(many, [f"Q{n}" for n in range(9)], 0.0) is None
    assert "is 'pid' the right column in both?" in str(judged(["x"], ["y"]))
    assert judged(["", ""], ["y"]) is not None


def test_spoilt_keys_are_refused_above_the_share_unless_the_site_says_so() -> None:
    ours = [f"{n:05d}" for n in range(100, 200)]
    theirs = ours[:90] + [str(int(key)) for key in ours[90:]]
    assert "10 of 10 keys without a partner differ only by leading zeros" in str(
        judged(ours, theirs)
    )
    assert judged(ours, theirs, 0.9) is None
    counts = count_partners(ours, theirs, key="records.joins.0", table="pat.csv", on="pid")
    assert "differ only by leading zeros" in str(counts.doubt())
    one = [*ours[:99], str(int(ours[99]))]
    assert judged(ours, one) is None  # a slip of the pen is told, no more


def test_codes_are_passed_over_with_counts() -> None:
    codes = {"1988-5": 3, "30522-7": 2, "100000-9": 4, "Erika M.": 1, "": 2}
    assert passed_over(codes, ["1988-5"]) == ({"100000-9": 4, "30522-7": 2}, 3)


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        ({"May-88": 3, "1988-5": 1}, "3 rows hold a date"),
        ({"01.05.1988": 3}, "3 rows hold a date"),
        ({"1988-05-01 00:00:00": 3}, "3 rows hold a date"),
        ({"LN:1988-5": 2, "1988-5": 9}, "2 rows hold such a code with more around it"),
        ({"01988-5": 2}, "2 rows hold such a code with more around it"),
        ({"CRP": 2, "LDH": 3}, "none of 5 rows holds a LOINC code"),
        ({"2532-0": 2}, None),
        ({"CRP": 2, "1988-5": 2}, None),
        ({"11988-5x": 2, "1988-5": 1}, None),
    ],
)
def test_odd_codes_have_a_cause(codes: dict[str, int], said: str | None) -> None:
    cause = cause_of_codes(codes, ["1988-5"])
    assert cause is None if said is None else str(cause).startswith(said)
