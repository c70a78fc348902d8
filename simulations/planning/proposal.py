"""A proposal for a study: every setting that decides how an epsilon is spent, and why.

From the study and what is public of its sites; no patient's file is read.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from irene_model.errors import ConfigError
from irene_model.privacy import doubt
from irene_model.study import MOST_ROUNDS, Study
from irene_model.weights import footprint
from simulations.planning import rule
from simulations.planning.prospect import Prospect, looks_by_number, prospect_of
from simulations.planning.public import Public
from simulations.planning.recipe import Choice, recipe
from simulations.planning.settings import changes, with_settings

LEAST_EPSILON, MOST_EPSILON = 0.01, 100.0
MOST_PASSES = 1000.0
_WARM_UP = 5
_FEW = (
    "few patients can still teach a model that was trained before (--start; plan it with "
    "--started), or model.method linear_probe on frozen encoders"
)


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """choices: setting by setting, with reasons. settings: those that differ from the study, dotted
    key -> value. reached: the share of the best ratio that this epsilon allows. advice: what is
    not a setting.
    """

    epsilon: float
    delta: float
    study: Study
    choices: tuple[Choice, ...]
    settings: Mapping[str, Any]
    prospect: Prospect
    reached: float
    advice: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "epsilon": self.epsilon,
            "delta": self.delta,
            "settings": dict(self.settings),
            "choices": [asdict(choice) for choice in self.choices],
            "reached": self.reached,
            "prospect": as_json(self.prospect),
            "advice": list(self.advice),
        }


def as_json(found: Prospect) -> dict[str, Any]:
    """Plain numbers; an infinite ratio, which JSON has not, is null."""
    document = asdict(found)
    return document | {"ratio": found.ratio if math.isfinite(found.ratio) else None}


def propose(
    study: Study,
    public: Public,
    *,
    epsilon: float | None = None,
    delta: float | None = None,
    rounds: int | None = None,
    passes: float = rule.PASSES,
    started: bool = False,
) -> Proposal:
    """A proposal for `epsilon`, or the study's own.

    rounds: as many and no other number. passes: the most for each patient. started: whether first
    weights were trained before. ConfigError for numbers that make no sense.
    """
    epsilon, delta = _privacy(study, public, epsilon, delta)
    rounds = rule.STEPS if rounds is None else rounds
    if not 1 <= rounds <= MOST_ROUNDS:
        raise ConfigError(f"--rounds: must be from 1 to {MOST_ROUNDS}")
    if not 0 < passes <= MOST_PASSES:
        raise ConfigError(f"--passes: must be above 0 and at most {MOST_PASSES:g}")
    pace = rule.pace(
        epsilon,
        delta,
        width=footprint(study).width,
        rounds=rounds,
        passes=passes,
        started=started,
    )
    asked = _spending(study, public, pace, epsilon=epsilon, delta=delta)
    part = recipe(with_settings(study, asked), public, started=started)
    asked |= {key: value for choice in part for key, value in choice.settings.items()}
    errors = looks_by_number(with_settings(study, asked), public, rule.MOST_LOOKS)
    asked["federation.evaluate_every"] = math.ceil(rounds / min(rounds, rule.looks(errors)))
    new = with_settings(study, asked)
    found = prospect_of(new, public)
    told = _choices(
        asked, pace, found, public, study, epsilon=epsilon, delta=delta, started=started
    )
    return Proposal(
        epsilon=epsilon,
        delta=delta,
        study=new,
        choices=(*told, *part),
        settings=changes(study, asked),
        prospect=found,
        reached=rule.reached(pace, epsilon, delta),
        advice=_advice(new, public, found),
    )


def _privacy(
    study: Study, public: Public, epsilon: float | None, delta: float | None
) -> tuple[float, float]:
    if epsilon is None:
        epsilon = study.privacy.epsilon
    if epsilon is None:
        raise ConfigError(
            "privacy.epsilon: the study has none (it gives a noise multiplier, or trains without "
            "noise): say with --epsilon what may be spent"
        )
    if not LEAST_EPSILON <= epsilon <= MOST_EPSILON:
        raise ConfigError(
            f"--epsilon: must be from {LEAST_EPSILON:g} to {MOST_EPSILON:g}: below, nothing is "
            "learned from any cohort, and above, nobody is protected"
        )
    delta = study.privacy.delta if delta is None else delta
    if not 1e-15 <= delta < 1 / public.patients:
        raise ConfigError(
            f"--delta (privacy.delta): must be from 1e-15 and below 1 over the {public.patients} "
            "patients: one that is larger allows to publish somebody's record as it is"
        )
    return epsilon, delta


def _spending(
    study: Study, public: Public, pace: rule.Pace, *, epsilon: float, delta: float
) -> dict[str, Any]:
    """The settings of a pace; the expected batch is a site's, and under secure sums that of all."""
    secure = study.federation.secure
    patients = secure.patients if secure else public.patients / len(public.sites)
    asked: dict[str, Any] = {
        "federation.rounds": pace.rounds,
        "federation.local_steps": 1,
        "federation.strategy": "fedadam",
        "federation.server_learning_rate": pace.rate,
        "training.expected_batch": min(rule.whole(pace.sample_rate * patients), int(patients)),
        "training.optimizer": "sgd",
        "training.learning_rate": 1.0,
        "training.warmup_rounds": min(_WARM_UP, pace.rounds // 10),
        "privacy.clip_norm": 1.0,
        "privacy.epsilon": epsilon,
        "privacy.delta": delta,
    }
    if study.privacy.noise_multiplier is not None:
        asked["privacy.noise_multiplier"] = None
    if study.federation.proximal_mu:
        asked["federation.proximal_mu"] = 0.0
    return asked


def _choices(
    asked: Mapping[str, Any],
    pace: rule.Pace,
    found: Prospect,
    public: Public,
    study: Study,
    *,
    epsilon: float,
    delta: float,
    started: bool,
) -> tuple[Choice, ...]:
    def choice(name: str, why: str, *keys: str) -> Choice:
        return Choice(name=name, settings={key: asked[key] for key in keys}, why=why)

    share, width = rule.reached(pace, epsilon, delta), footprint(study).width
    limit = "more work would gain little" if share > 0.98 * rule.SHARE else "--passes bounds it"
    strategy = study.federation.strategy
    robust = (
        f"; {strategy} gives way to fedadam, which no site's lie is cut off from"
        if strategy in ("median", "trimmed_mean")
        else ""
    )
    held = "all sites' together" if study.federation.secure else "a site's"
    return (
        choice(
            "rounds",
            "one step each: with fewer, larger steps the same ratio costs less work, but Adam "
            f"needs many to learn in{robust}",
            "federation.rounds", "federation.local_steps", "federation.strategy",
        ),
        choice(
            "expected batch",
            f"{held}; each patient is in {pace.sample_rate:.2g} of a step, {pace.passes:.3g} "
            f"passes, which reach {share:.0%} of the ratio that epsilon {epsilon:g} allows "
            f"however it is spent; {limit}",
            "training.expected_batch", "training.optimizer", "training.learning_rate",
        ),
        choice(
            "server rate",
            "noise moves a weight by rate x sqrt(rounds), which is to be "
            + ("a tenth of what a new model's may be" if started else "about its first deviation")
            + f", 1/sqrt({width})",
            "federation.server_learning_rate", "training.warmup_rounds",
        ),
        choice(
            "clip norm",
            "Adam divides it out; of 0.3 and 1 the latter was better on made-up patients",
            "privacy.clip_norm",
        ),
        Choice(
            name="noise multiplier",
            settings={
                key: asked[key]
                for key in ("privacy.epsilon", "privacy.delta", "privacy.noise_multiplier")
                if key in asked
            },
            why="what the accountants ask for such steps; each site finds it by itself",
        ),
        choice(
            "evaluations",
            f"all share one epsilon; the noise of each moves the AUROC of {public.judged:.0f} "
            f"validation patients by about {found.look_error:.2g}",
            "federation.evaluate_every",
        ),
    )  # fmt: skip


def _advice(study: Study, public: Public, found: Prospect) -> tuple[str, ...]:
    said = [] if found.doubt is None else [found.doubt, _FEW]
    count = len(public.sites)
    if study.federation.secure is None and count >= 3:
        gain = math.sqrt(count - 1)
        better = "" if doubt(found.ratio * gain) or not found.doubt else ", which is enough"
        said.append(
            f"with secure sums (federation.secure) the {count} sites would share one noise: the "
            f"ratio would be about {found.ratio * gain:.2g}{better}"
        )
    return tuple(said)
