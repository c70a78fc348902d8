"""Rules of late fusion against numbers worked out by hand."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from irene_model.methods import decisions

PRIOR = 0.1
RULES = [decisions.mean, decisions.maximum, decisions.product, decisions.majority]


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def decided(
    rule: Callable[..., Tensor], *probabilities: float | None, prior: float = PRIOR
) -> float:
    """The probability that `rule` makes of one label's; None for a modality that is absent."""
    said = torch.tensor([[[logit(p if p is not None else 0.77)] for p in probabilities]])
    available = torch.tensor([[p is not None for p in probabilities]])
    return float(rule(said, available, logit(prior)).sigmoid())


@pytest.mark.parametrize(
    ("rule", "probabilities", "expected"),
    [
        (decisions.mean, (0.6, 0.2, 0.1), 0.3),
        (decisions.mean, (0.6, None, 0.1), 0.35),
        (decisions.maximum, (0.6, 0.2, 0.1), 0.6),
        (decisions.maximum, (None, 0.2, 0.1), 0.2),
        # Odds 1/9 at first; 0.5 multiplies them by 9, 0.25 by 3: 3 to 1.
        (decisions.product, (0.5, 0.25, None), 0.75),
        (decisions.product, (0.1, 0.1, 0.1), 0.1),
        (decisions.product, (0.5, None, None), 0.5),
        # Two of three are above the prior of 0.1; the mean of their logits, 0 and -ln 4.
        (decisions.majority, (0.5, 0.2, 0.01), 1 / 3),
        # Two of three are below it: log odds -ln 19 and -ln 99.
        (decisions.majority, (0.9, 0.05, 0.01), 1 / (1 + math.sqrt(19 * 99))),
        # One against one: the radiograph's word, and without one the mean of the logits.
        (decisions.majority, (0.5, 0.01, None), 0.5),
        (decisions.majority, (0.01, 0.5, None), 0.01),
        (decisions.majority, (None, 0.5, 0.05), 1 / (1 + math.sqrt(19))),
        (decisions.majority, (None, None, 0.05), 0.05),
    ],
)
def test_by_hand(
    rule: Callable[..., Tensor], probabilities: tuple[float | None, ...], expected: float
) -> None:
    assert decided(rule, *probabilities) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("rule", RULES)
def test_without_any_opinion_the_prior_stands(rule: Callable[..., Tensor]) -> None:
    assert decided(rule, None, None, None) == pytest.approx(PRIOR, abs=1e-6)


@pytest.mark.parametrize("rule", RULES)
def test_unanimous_classifiers_are_believed_and_absent_ones_have_no_say(
    rule: Callable[..., Tensor],
) -> None:
    g = torch.Generator().manual_seed(0)
    said = torch.randn(6, 3, 4, generator=g)
    available = torch.tensor([[True, False, True]]).expand(6, -1)
    shouted = said.clone()
    shouted[:, 1] = 1e4
    assert torch.equal(rule(said, available, -2.0), rule(shouted, available, -2.0))
    if rule is not decisions.product:
        same = said[:, :1].expand(-1, 3, -1)
        torch.testing.assert_close(rule(same, available, -2.0), said[:, 0])


@pytest.mark.parametrize("rule", RULES)
def test_more_suspicion_never_lowers_the_decision(rule: Callable[..., Tensor]) -> None:
    """Above the prior, that is: crossing it changes who is heard by the majority."""
    g = torch.Generator().manual_seed(1)
    said = torch.rand(50, 3, 2, generator=g)
    available = torch.rand(50, 3, generator=g) < 0.7
    raised = said + torch.rand(50, 3, 2, generator=g)
    assert (rule(raised, available, -1.0) >= rule(said, available, -1.0) - 1e-6).all()


def test_the_mean_is_exact_where_probabilities_round_to_one() -> None:
    said = torch.tensor([[[60.0], [60.0]]])
    assert float(decisions.mean(said, torch.tensor([[True, True]]), 0.0)) == pytest.approx(60.0)
