"""The noise of a release: of all that don't collude, and of one site alone."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irene_model.errors import ProtocolError
from irene_model.privacy.accountants import Mechanism, epsilon
from irene_model.privacy.noise import Noise, noise_of
from irene_model.study.study import Study
from tests.helpers.hospital_folder import STUDY
from tests.helpers.secure_study import secure_study


def test_without_secure_sums_both_are_the_sites_own() -> None:
    found = noise_of(Study.model_validate(STUDY), 1.7, sample_rate=0.1, steps=3)
    assert found.mechanism == found.alone == Mechanism(
        noise_multiplier=1.7, sample_rate=0.1, steps=3
    )  # fmt: skip
    with pytest.raises(ProtocolError, match="no secure sums"):
        noise_of(Study.model_validate(STUDY), 1.7, sample_rate=0.1, steps=3, sites=3)


@pytest.mark.parametrize(
    ("sites", "joint"), [(None, 3.0), (5, 3.0), (6, 3.464101615), (10, 4.898979486), (50, 12.0)]
)
def test_by_hand(sites: int | None, joint: float) -> None:
    """Five sites, two of them collude: sqrt(3) of noise each, and sqrt(3 (n - 2)) together."""
    found = noise_of(secure_study(), 3.0, sample_rate=0.05, steps=1, sites=sites)
    assert found.share == pytest.approx(math.sqrt(3), rel=1e-12)
    assert found.mechanism.noise_multiplier == pytest.approx(joint, rel=1e-9)
    assert found.alone.noise_multiplier == found.share
    assert (found.alone.sample_rate, found.alone.steps) == (0.05, 1)


def test_what_is_planned_is_kept_to_the_last_digit() -> None:
    """A limit on the noise multiplier that the study just keeps must not fail by rounding."""
    for planned in (0.7, 1.0, 1.1, 2.3, 7.013):
        for least, colluding in ((3, 1), (5, 2), (5, 3), (9, 2)):
            study = secure_study({"colluding": colluding}, {"minimum_sites": least})
            found = noise_of(study, planned, sample_rate=0.05, steps=1, sites=least)
            assert found.mechanism.noise_multiplier == planned


@pytest.mark.parametrize("sites", [-1, 0, 1, 2, 4, 51, 10**6])
def test_too_few_or_more_than_there_can_be_are_refused(sites: int) -> None:
    with pytest.raises(ProtocolError, match="it takes 5 to 50"):
        noise_of(secure_study(), 1.0, sample_rate=0.05, steps=1, sites=sites)


def test_no_more_sites_than_the_roster_has() -> None:
    members = [
        {"name": f"s{n}", "node_key": f"{n}a" * 32, "mask_key": f"{n}b" * 32} for n in range(6)
    ]
    study = secure_study({"roster": {"members": members}})
    assert noise_of(study, 1.0, sample_rate=0.05, steps=1, sites=6).private
    with pytest.raises(ProtocolError, match="it takes 5 to 6"):
        noise_of(study, 1.0, sample_rate=0.05, steps=1, sites=7)


@given(
    planned=st.just(0.0) | st.floats(1e-6, 100), colluding=st.integers(1, 20),
    more=st.integers(0, 10), extra=st.integers(0, 15),
    sites=st.none() | st.integers(0, 15),
)  # fmt: skip
def test_there_is_never_less_noise_than_planned_and_never_less_than_ones_own(
    planned: float, colluding: int, more: int, extra: int, sites: int | None
) -> None:
    least = colluding + 2 + more
    study = secure_study({"colluding": colluding}, {"minimum_sites": least})

    def among(sites: int | None) -> Noise:
        return noise_of(study, planned, sample_rate=0.05, steps=1, sites=sites)

    found, wider = among(least + extra), among(least + extra + 1)
    assert found.mechanism.noise_multiplier >= planned * (1 - 1e-12)
    assert found.share <= planned and found.share == wider.share == among(None).share
    assert wider.mechanism.noise_multiplier >= found.mechanism.noise_multiplier
    assert found.private == (planned > 0)


def test_each_epsilon_falls_with_what_should_lower_it() -> None:
    def spent(colluding: int = 1, least: int = 5, sites: int = 8, planned: float = 1.5) -> float:
        study = secure_study({"colluding": colluding}, {"minimum_sites": least})
        found = noise_of(study, planned, sample_rate=0.05, steps=100, sites=sites)
        return epsilon([found.mechanism], delta=1e-5)

    assert spent(sites=12) < spent(sites=8) < spent(sites=5)  # more sites
    assert spent(planned=2.0) < spent(planned=1.5) < spent(planned=1.0)  # more noise
    # What is planned holds against as many as collude; those who are more have a larger share.
    assert spent(colluding=3, sites=5) == spent(colluding=1, sites=5)
    assert spent(colluding=3) < spent(colluding=1)
