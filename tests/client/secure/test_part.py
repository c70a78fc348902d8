"""What a site judges of a question for a secure sum, and what its answer looks like."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from client.secure.membership import Membership
from client.secure.part import Part, judged
from irene_model.errors import ConfigError, ProtocolError
from irene_model.exchange.requests import EvaluateRequest, TrainRequest
from irene_model.secure.grid import Grid
from irene_model.secure.masks import MaskKey
from irene_model.study.secure import Roster
from irene_model.study.study import Study
from tests.helpers.hospital_folder import STUDY
from tests.helpers.sites.secure_sites import secure_document

NAMES = ("east", "north", "south", "west")
KEYS = {name: MaskKey.new() for name in NAMES}
SECURE = Study.model_validate(secure_document({name: key.public for name, key in KEYS.items()}))


def membership(name: str = "north") -> Membership:
    secure = SECURE.federation.secure
    assert secure is not None and isinstance(secure.roster, Roster)
    return Membership(name=name, roster=secure.roster, key=KEYS[name], minimum=3)


def asked(name: str = "north", **fields: Any) -> Part:
    fields = {"run": "r", "round": 1, "attempt": 1, "partners": "east,north,south", **fields}
    part = judged(TrainRequest.about(SECURE, **fields), membership(name))
    assert part is not None
    return part


GRID = Grid.of(bound=30.0, sensitivity=1.0, share=2.0, sites=4, dimensions=4096)
SILENT = Grid.of(bound=30.0, sensitivity=1.0, share=0.0, sites=4, dimensions=4096)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"attempt": 0, "partners": ""}, "names no attempt"),
        ({"attempt": 0}, "names no attempt"),
        ({"partners": ""}, "names 0 sites, and a sum of this study has at least 3"),
        ({"partners": "east,north"}, "names 2 sites"),
        ({"partners": "east,north,mars"}, "the site mars, which the study's roster does not have"),
        ({"partners": "south,north,east"}, "in the order of their names"),
        ({"partners": "east,north,north"}, "in order, each of them once"),
        ({"partners": "east,south,west"}, "this site is not among"),
    ],
)
def test_a_hostile_question_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ProtocolError, match=said):
        asked(**fields)


def test_a_study_without_secure_sums_has_no_attempts() -> None:
    plain = Study.model_validate(STUDY)
    assert judged(TrainRequest.about(plain, run="r", round=1), None) is None
    for fields in ({"attempt": 1}, {"partners": "east,north,south"}):
        with pytest.raises(ProtocolError, match="is of a secure sum, and the study has none"):
            judged(TrainRequest.about(plain, run="r", round=1, **fields), None)


def test_masks_cancel_and_the_sum_is_that_of_the_rounded_vectors_bit_by_bit() -> None:
    rng = np.random.default_rng(0)
    vectors = {name: rng.uniform(-10, 10, 4096).astype(np.float32) for name in NAMES[:3]}
    total = sum(asked(name).hidden(v, SILENT)["sum"] for name, v in vectors.items())
    plain = sum(SILENT.encode(v) for v in vectors.values())
    assert isinstance(plain, np.ndarray)
    np.testing.assert_array_equal(total, plain.astype(np.uint32))
    unmasked = [
        judged(
            TrainRequest.about(
                SECURE, run="r", round=1, attempt=1, partners="east,north,south"
            ),
            membership(name), seed=3, masked=masked,
        )
        for masked in (True, False)
        for name in vectors
    ]  # fmt: skip
    sums = [
        sum(
            part.hidden(v, GRID)["sum"]
            for part, v in zip(parts, vectors.values(), strict=True)
            if part
        )
        for parts in (unmasked[:3], unmasked[3:])
    ]
    np.testing.assert_array_equal(*sums)  # a simulation may leave the masks out


def test_one_answer_alone_is_even_whatever_it_hides() -> None:
    """χ² of each byte over 256 values, and of the most significant bits together."""
    for name, value in itertools.product(NAMES[:3], (0.0, 10.0)):
        words = asked(name).hidden(np.full(65536, value, np.float32), GRID)["sum"]
        for shift in (0, 8, 16, 24):
            counts = np.bincount((words >> np.uint32(shift)) & np.uint32(255), minlength=256)
            assert stats.chisquare(counts).pvalue > 1e-7, (name, value, shift)


def test_another_round_attempt_split_or_set_of_partners_has_other_masks() -> None:
    nothing = np.zeros(1024, np.float32)
    changes: list[dict[str, Any]] = [
        {}, {"attempt": 2}, {"round": 2}, {"run": "s"}, {"partners": "east,north,south,west"},
    ]  # fmt: skip
    seen = [asked(**change).hidden(nothing, SILENT)["sum"] for change in changes]
    evaluation = EvaluateRequest.about(
        SECURE, run="r", round=1, attempt=1, partners="east,north,south", split="test"
    )
    part = judged(evaluation, membership())
    assert part is not None
    seen.append(part.hidden(nothing, SILENT)["sum"])
    for one, other in itertools.combinations(seen, 2):
        assert np.mean(one == other) < 0.01
    again = asked().hidden(nothing, SILENT)["sum"]
    np.testing.assert_array_equal(again, seen[0])  # without noise it is the same question


def test_noise_is_of_the_operating_system_and_in_a_simulation_of_every_attempt() -> None:
    nothing = np.zeros(4096, np.float32)
    request = {"run": "r", "round": 1, "partners": "east,north,south"}

    def noise(seed: int | None, attempt: int, site: str = "north") -> Any:
        part = judged(
            TrainRequest.about(SECURE, **request, attempt=attempt), membership(site), seed=seed
        )
        assert part is not None
        still = part.hidden(nothing, SILENT)["sum"]
        return (part.hidden(nothing, GRID)["sum"] - still).view(np.int32)

    drawn = [
        noise(None, 1), noise(None, 1), noise(1, 1), noise(1, 2), noise(2, 1), noise(1, 1, "east"),
    ]  # fmt: skip
    for one, other in itertools.combinations(drawn, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.1
    np.testing.assert_array_equal(noise(1, 2), drawn[3])
    for each in drawn:
        assert each.std() == pytest.approx(GRID.deviation, rel=0.06)


def test_what_lies_beyond_the_grid_is_set_to_its_bound_and_does_not_wrap_round() -> None:
    """Neither refused, which would tell of the patients who were drawn, nor left as it is."""
    vector = np.array([0, 30, 30.5, -np.inf, 1e30, -31], np.float32)
    sums = [asked().hidden(vector, SILENT)["sum"]]
    sums += [asked(n).hidden(np.zeros(6), SILENT)["sum"] for n in ("east", "south")]
    decoded = SILENT.decode(sum(sums, np.zeros(6, np.uint32)))
    np.testing.assert_allclose(decoded, [0, 30, 30, -30, 30, -30], atol=1e-6)
    with pytest.raises(ConfigError):
        asked().hidden(np.array([np.nan], np.float32), GRID)


def test_a_real_site_never_leaves_out_its_masks() -> None:
    request = TrainRequest.about(SECURE, run="r", round=1, attempt=1, partners="east,north,south")
    with pytest.raises(ValueError, match="never leaves out its masks"):
        judged(request, membership(), masked=False)


@given(st.lists(st.sampled_from((*NAMES, "mars")), max_size=6), st.integers(0, 3))
def test_whatever_is_accepted_is_a_sum_that_hides_this_site(names: list[str], number: int) -> None:
    fields = {"attempt": number, "partners": ",".join(names)}
    honest = (
        number > 0
        and names == sorted(set(names))
        and set(names) <= set(NAMES)
        and "north" in names
        and len(names) >= 3
    )
    if honest:
        part = asked(**fields)
        assert (part.number, part.sites, part.partners) == (number, len(names), ",".join(names))
        assert part.key is not None and part.seed is None
    else:
        with pytest.raises(ProtocolError):
            asked(**fields)
