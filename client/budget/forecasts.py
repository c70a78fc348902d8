"""What further rounds of a study would cost a site: noise against rounds against epsilon.

Both questions that a plan has: which noise multiplier spends a target over so many rounds, and how
many rounds fit with a given noise multiplier. All on top of what the ledger already holds. Pure but
for reading the ledger.
"""

from dataclasses import dataclass, replace
from typing import Any

from client.budget.budget import plain
from client.budget.outlook import Charged, charged_so_far, rounds_within
from client.budget.plan import plan_round
from client.budget.prospects import hope
from client.site import Site
from irene_model.errors import ConfigError
from irene_model.privacy import Epsilons, Mechanism, noise_multiplier_for, noise_of
from irene_model.study import Study

_SHARES = (1 / 4, 1 / 2, 1, 2, 4)  # of the planned rounds: what the table shows
_CURVE_POINTS = 16
_MOST_ROUNDS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Choice:
    """So many rounds of `mechanism` (one round's); `epsilon` is the whole ledger's afterwards.

    epsilon_alone: under secure sums, if everybody else colludes.
    """

    rounds: int
    mechanism: Mechanism
    epsilon: Epsilons
    epsilon_alone: Epsilons | None = None


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """A site's choices, if it is to end at the epsilon `target` over all that its ledger holds.

    choices: for several numbers of rounds, `rounds` among them, the noise multiplier that spends
    the target. fitting: as many rounds as fit with one noise multiplier, the study's or another.
    curve: the same mechanism over 0 to somewhat more rounds.
    `study_asks` is the study's own noise multiplier for its own rounds, and `hope` a doubt about
    what these can teach, if there is one.

    Under secure sums noise multipliers are those of as few sites as may be, without the colluding
    ones. budget_alone: the budget if everybody else colludes, into which `fitting` fits too.
    """

    site: str
    study: str
    budget: float | None
    target: float
    delta: float
    spent: Epsilons
    declared_patients: int
    rounds: int
    study_asks: float
    choices: tuple[Choice, ...]
    fitting: Choice
    curve: tuple[Choice, ...]
    hope: str | None = None
    budget_alone: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain mappings and numbers; an infinite epsilon, which JSON has not, is null."""
        document: dict[str, Any] = plain(self)
        return document


def forecast(
    site: Site,
    study: Study,
    declared: int,
    *,
    target: float | None = None,
    rounds: int | None = None,
    noise_multiplier: float | None = None,
) -> Forecast:
    """Plan `rounds` of `study` (its own number) up to `target` (the site's whole budget).

    Raises ConfigError where there is neither a budget nor a target, for a study without noise,
    and where the target is spent already; ProtocolError as `plan_round` does.
    """
    budget = None if site.budget == "none" else site.budget
    delta = study.privacy.delta if budget is None else budget.delta
    target = target if target is not None or budget is None else budget.epsilon
    if target is None:
        raise ConfigError(
            f"site {site.site} has no budget (`budget: none`): give --target, the epsilon to end at"
        )
    asked = plan_round(study, declared, 1).mechanism
    noise = asked.noise_multiplier if noise_multiplier is None else noise_multiplier
    if noise <= 0:
        raise ConfigError(
            "without noise no round fits: give --noise, a multiplier above 0"
            if noise_multiplier is not None
            else f"the study {study.name} asks for no noise: give --noise, a multiplier above 0"
        )
    so_far, colluding = charged_so_far(site, delta=delta)
    spent = so_far.after(delta=delta)
    if spent.smallest >= target:
        raise ConfigError(
            f"site {site.site}: epsilon {spent.smallest:.2f} is spent already, and the target is "
            f"{target:g}; nothing is left to plan with"
        )
    rounds = study.federation.rounds if rounds is None else rounds
    secure = study.federation.secure is not None
    mechanism = replace(asked, noise_multiplier=noise)

    def own(each: Mechanism) -> Mechanism:
        found = noise_of(
            study, each.noise_multiplier, sample_rate=each.sample_rate, steps=each.steps
        )
        return found.alone

    def after(number: int, each: Mechanism) -> Choice:
        return Choice(
            rounds=number,
            mechanism=each,
            epsilon=_after(so_far, number, each, delta),
            epsilon_alone=_after(colluding, number, own(each), delta) if secure else None,
        )

    alone = budget.alone if secure and budget is not None else None
    counts = sorted({max(1, round(share * rounds)) for share in _SHARES})
    fit = _fitting(target, so_far, mechanism, delta)
    if alone is not None:
        fit = min(fit, _fitting(alone, colluding, own(mechanism), delta))
    fitting = after(fit, mechanism)
    last = max(fitting.rounds + 1, round(1.25 * fitting.rounds), rounds)
    return Forecast(
        site=site.site,
        study=study.name,
        budget=None if budget is None else budget.epsilon,
        target=target,
        delta=delta,
        spent=spent,
        declared_patients=declared,
        rounds=rounds,
        study_asks=asked.noise_multiplier,
        choices=tuple(
            after(number, _spending(target, so_far, mechanism, number, delta)) for number in counts
        ),
        fitting=fitting,
        curve=tuple(
            after(number, mechanism) for number in sorted({fitting.rounds, *_evenly(last)})
        ),
        hope=hope(study, asked, declared),
        budget_alone=alone,
    )


def _after(charged: Charged, rounds: int, mechanism: Mechanism, delta: float) -> Epsilons:
    more = [replace(mechanism, steps=rounds * mechanism.steps)] if rounds else []
    return charged.after(*more, delta=delta)


def _evenly(last: int) -> list[int]:
    """From 0 to `last`, denser at the beginning, where epsilon bends most."""
    return [round(last * (i / (_CURVE_POINTS - 1)) ** 2) for i in range(_CURVE_POINTS)]


def _spending(
    target: float, charged: Charged, like: Mechanism, rounds: int, delta: float
) -> Mechanism:
    """One round's mechanism, with the noise that spends `target` over `rounds`."""
    try:
        noise = noise_multiplier_for(
            target - charged.lost,
            delta=delta,
            sample_rate=like.sample_rate,
            steps=rounds * like.steps,
            after=charged.exposures["train"],
        )
    except ValueError:
        raise ConfigError(
            f"no noise multiplier spends only what is left for {rounds} rounds: give a larger "
            "--target or fewer --rounds"
        ) from None
    return replace(like, noise_multiplier=noise)


def _fitting(target: float, charged: Charged, mechanism: Mechanism, delta: float) -> int:
    """The number of rounds that fit, looked for in ever larger steps."""
    left, before = target - charged.lost, charged.exposures["train"]
    most = 16
    while most < _MOST_ROUNDS:
        found = rounds_within(left, before, mechanism, delta=delta, most=most)
        if found < most:
            return found
        most *= 8
    return rounds_within(left, before, mechanism, delta=delta, most=_MOST_ROUNDS)
