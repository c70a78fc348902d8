"""What the site's budget buys of a study, and whether its limits allow it: told before joining."""

from dataclasses import dataclass

from client.budget import (
    declared_size,
    hope,
    look_ahead,
    permitted_evaluation,
    permitted_plan,
)
from client.check.doubts import Doubt, doubts_of
from client.site import Site
from irene_model.errors import LimitExceeded, MetricsWithheld, ProtocolError
from irene_model.study import Study


@dataclass(frozen=True, kw_only=True)
class Cost:
    """A whole run at this site, by the public size of its training cohort.

    rounds_left of the study's `rounds` fit into what is left of the budget (None: no budget).
    epsilon: what the ledger would hold after all of them, evaluations included; infinite without
    noise. budget_alone and epsilon_alone: the same if everybody else colludes; None without secure
    sums.
    """

    declared_patients: int
    sample_rate: float
    noise_multiplier: float
    rounds: int
    rounds_left: int
    budget: float | None
    epsilon: float
    budget_alone: float | None = None
    epsilon_alone: float | None = None


def reckon(site: Site, study: Study, training_patients: int) -> tuple[Cost | None, list[Doubt]]:
    """The cost, and what speaks against it; None where the study asks for what can't be, and at a
    site that only evaluates."""
    if not site.trains:
        return None, _doubt_evaluations(site, study)
    declared = declared_size(site, training_patients)
    if not declared:
        return None, []
    budget = None if site.budget == "none" else site.budget.epsilon
    try:
        ahead = look_ahead(site, study, declared)
        other = ahead.if_all_collude
        cost = Cost(
            declared_patients=declared,
            sample_rate=ahead.mechanism.sample_rate,
            noise_multiplier=ahead.mechanism.noise_multiplier,
            rounds=ahead.rounds,
            rounds_left=ahead.rounds_left,
            budget=budget,
            epsilon=ahead.after_all,
            budget_alone=None if site.budget == "none" or other is None else site.budget.alone,
            epsilon_alone=None if other is None else other.after_all,
        )
        hopeless = hope(study, ahead.mechanism, declared)
        return cost, [
            *_doubt_budget(cost),
            *_doubt_limits(site, study, declared),
            *doubts_of("privacy", [hopeless] if hopeless else []),
        ]
    except ProtocolError as error:
        mend = "Ask the coordinator for a larger epsilon, fewer rounds or a smaller batch."
        return None, _grave(str(error), mend)


def _doubt_limits(site: Site, study: Study, declared: int) -> list[Doubt]:
    try:
        permitted_plan(site, study, declared, 1)
    except LimitExceeded as error:
        return _grave(str(error), "Ask the coordinator for another study, or change `limits`.")
    return []


def _doubt_evaluations(site: Site, study: Study) -> list[Doubt]:
    try:
        permitted_evaluation(site, study, "test", study.federation.rounds)
    except (LimitExceeded, MetricsWithheld) as error:
        mend = "Ask the coordinator for another study, or change `metrics` or `limits`."
        return _grave(f"this site only evaluates, and would not: {error}", mend)
    return []


def _doubt_budget(cost: Cost) -> list[Doubt]:
    budget = None if cost.budget is None else f"the budget of epsilon {cost.budget:g}"
    beyond = cost.budget is not None and cost.epsilon > cost.budget
    if cost.budget_alone is not None and cost.epsilon_alone is not None:
        budget = f"{budget}, or {cost.budget_alone:g} if everybody else colludes (budget.alone),"
        beyond = beyond or cost.epsilon_alone > cost.budget_alone
    if budget is None or (cost.rounds_left == cost.rounds and not beyond):
        return []
    mend = (
        "Ask for more noise or fewer rounds: `irene-client budget SITE.yaml --study STUDY.yaml "
        "--plan` says how much."
    )
    if cost.rounds_left == 0:
        said = f"{budget} has room for no round of this study"
        return _grave(said, mend)
    if cost.rounds_left < cost.rounds:
        said = (
            f"{budget} has room for {cost.rounds_left} of the study's {cost.rounds} rounds; the "
            "site declines the others"
        )
    else:
        said = (
            f"{budget} has room for all rounds, and not for all evaluations; the site declines the "
            "others"
        )
    return list(doubts_of("budget", [said], mend))


def _grave(sentence: str, mend: str) -> list[Doubt]:
    return [Doubt(kind="budget", sentence=sentence, mend=mend, grave=True)]
