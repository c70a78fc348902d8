"""Arms x models x seeds: what a comparison trains, from the names that were asked for."""

import difflib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args

from irene_model.errors import ConfigError
from irene_model.study import ModelShape, Study, override, parse
from simulations.compare.arms import without_privacy
from simulations.hospitals import Arm, Scenario, site_names, without_sums

ARMS: tuple[Arm, ...] = get_args(Arm)
PRIVATE: tuple[Arm, ...] = ("central-dp", "federated-dp", "federated-secure", "local-dp")
OF_ONE_SITE: tuple[Arm, ...] = ("leave-one-site-out", "local", "local-dp", "personal")
_SEEDS = 3
_FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One training: an arm, a model and a seed; of some arms, one site's.

    site: who trains alone, or, of `leave-one-site-out`, who does not train.

    epsilon: the one that was asked for beside others; None is the study's own. start: the folder of
    the model that it begins from. goes_on: the trial whose weights it starts from.
    """

    arm: Arm
    site: str | None
    model: str
    seed: int
    epsilon: float | None = None
    study: Study = field(compare=False)
    start: Path | None = field(default=None, compare=False)
    goes_on: "Trial | None" = field(default=None, compare=False)

    @property
    def way(self) -> str:
        """The arm, with its epsilon where one was asked for: `federated-dp-epsilon4`."""
        return self.arm if self.epsilon is None else f"{self.arm}-epsilon{self.epsilon:g}"

    @property
    def place(self) -> str:
        """The way, with the site where there is one: `central`, `local-north`."""
        return self.way if self.site is None else f"{self.way}-{self.site}"

    @property
    def left_out(self) -> str | None:
        """The hospital whose patients it never sees, but is tested on."""
        return self.site if self.arm == "leave-one-site-out" else None

    @property
    def row(self) -> str:
        """Its key in results.json, the same for all seeds: `central/irene`."""
        return f"{self.place}/{self.model}"

    def folder(self, out: Path) -> Path:
        """Where its files lie in the comparison's folder."""
        return out / f"seed-{self.seed}" / self.place / self.model


def grid(
    scenario: Scenario,
    *,
    arms: Sequence[str] | None = None,
    models: Sequence[str] | None = None,
    seeds: int | None = None,
    epsilons: Sequence[float] | None = None,
) -> list[Trial]:
    """All trainings, seed by seed; what is None follows from the scenario's `compare`.

    A wrong name is a ConfigError that says which names there are. So is a scenario of synthetic
    and real hospitals: one interval can't hold for both.
    """
    if scenario.join and scenario.cohort is not None:
        raise ConfigError(
            "join: a comparison takes real folders or a synthetic cohort, not both; leave one out"
        )
    chosen = scenario.compare
    private = scenario.study.privacy.enabled
    secure = scenario.study.federation.secure is not None
    possible = {
        **dict.fromkeys(PRIVATE, private),
        "federated-secure": private and secure,
        "start-only": scenario.start is not None,
        "leave-one-site-out": False,  # a federation for each site: only where it is named
    }
    allowed = [arm for arm in ARMS if possible.get(arm, True)]
    wanted = [_arm(name) for name in arms or chosen.arms or allowed]
    _refuse_repeats("arm", wanted)
    if "start-only" in wanted and not possible["start-only"]:
        raise ConfigError(
            "arm start-only: name a model to start from with --start, or leave it out"
        )
    if "federated-secure" in wanted and not secure:
        raise ConfigError(
            "arm federated-secure: the study has no secure sums; set federation.secure=true and "
            "training.expected_batch to that of all sites together, or leave the arm out"
        )
    names = list(models or chosen.models)
    _refuse_repeats("model", names)
    asked = _checked(epsilons if epsilons is not None else chosen.epsilons, wanted)
    studies = {name: study_of(scenario, name) for name in names}
    sites = site_names(scenario)
    if "leave-one-site-out" in wanted and len(sites) < 2:
        raise ConfigError("arm leave-one-site-out: needs two sites or more; leave the arm out")
    found = [
        Trial(
            arm=arm,
            site=site,
            model=name,
            seed=seed,
            epsilon=epsilon,
            study=_study_for(arm, study, epsilon, len(sites)),
            start=scenario.start_folder,
        )
        for seed in range(seeds or chosen.seeds or scenario.folds or _SEEDS)
        for arm in wanted
        for epsilon in (asked if arm in PRIVATE or (arm == "personal" and private) else [None])
        for name, study in studies.items()
        for site in (sites if arm in OF_ONE_SITE else [None])
    ]
    way: Arm = "federated-secure" if secure else "federated-dp"
    way = way if private else "federated"
    return [_after_its_federation(trial, found, way) for trial in found]


def study_of(scenario: Scenario, model: str) -> Study:
    """The study with the variant or the method named `model`."""
    variants, methods = scenario.compare.variants, _methods()
    if model in variants:
        if not _FOLDER_NAME.fullmatch(model):
            raise ConfigError(
                f"compare.variants: '{model}' can't name a folder; use letters, digits, . _ -"
            )
        settings = variants[model]
        source = f"compare.variants.{model}"
    elif model in methods:
        settings = (f"model.method={model}",) if "method" in ModelShape.model_fields else ()
        source = f"--models {model}"
    else:
        raise ConfigError(_no_such("model", model, [*variants, *methods]))
    document = override(scenario.study.model_dump(mode="json"), settings)
    return parse(Study, document, source)


def _methods() -> tuple[str, ...]:
    """The values of `model.method` in the study's schema; IRENE alone where it has none."""
    field = ModelShape.model_fields.get("method")
    return get_args(field.annotation) if field is not None else ("irene",)


def _study_for(arm: Arm, study: Study, epsilon: float | None, sites: int) -> Study:
    if arm != "federated-secure":  # each of so many hides alone, or nobody does
        study = without_sums(study, sites)
    if arm == "leave-one-site-out":
        study = _of_so_many(study, sites - 1)
    if arm not in PRIVATE:
        return without_privacy(study)
    if not study.privacy.enabled:
        raise ConfigError(
            f"arm {arm}: the study is without privacy; set privacy.epsilon and no "
            "privacy.noise_multiplier, or leave the arm out with --arms"
        )
    if epsilon is None:
        return study
    spends = {"epsilon": epsilon, "noise_multiplier": None}
    return study.model_copy(update={"privacy": study.privacy.model_copy(update=spends)})


def _of_so_many(study: Study, sites: int) -> Study:
    """The study where no more sites than these take part."""
    least = min(study.federation.minimum_sites, sites)
    federation = study.federation.model_copy(update={"minimum_sites": least})
    return study.model_copy(update={"federation": federation})


def _after_its_federation(trial: Trial, found: Sequence[Trial], way: Arm) -> Trial:
    """The trial; of the arm `personal`, with the federation `way` that it goes on from."""
    if trial.arm != "personal":
        return trial
    same = (way, trial.model, trial.seed, trial.epsilon)
    for each in found:
        if (each.arm, each.model, each.seed, each.epsilon) == same:
            return replace(trial, goes_on=each)
    raise ConfigError(
        f"arm personal: goes on at each site from what {way} learned; name {way} in --arms too"
    )


def _checked(epsilons: Sequence[float] | None, arms: Sequence[Arm]) -> Sequence[float | None]:
    if epsilons is None:
        return [None]
    if not all(0 < each < math.inf for each in epsilons):
        raise ConfigError("--epsilons: give numbers above 0, as 1,2,4,8")
    if not set(arms) & set(PRIVATE):
        raise ConfigError(f"--epsilons: are for the arms {', '.join(PRIVATE)}; name one in --arms")
    return list(dict.fromkeys(epsilons))


def _arm(name: str) -> Arm:
    for arm in ARMS:
        if arm == name:
            return arm
    raise ConfigError(_no_such("arm", name, ARMS))


def _refuse_repeats(kind: str, names: Sequence[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ConfigError(f"--{kind}s: '{repeated[0]}' is named twice")


def _no_such(kind: str, name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"--{kind}s: there is no {kind} '{name}'; {hint}There are {', '.join(known)}"
