"""Arms x models x seeds: what a comparison trains, from the names that were asked for."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from irene_model.errors import ConfigError
from irene_model.study import ModelShape, Study, override, parse
from simulations.compare.arms import without_privacy
from simulations.hospitals import Arm, Scenario

ARMS: tuple[Arm, ...] = get_args(Arm)
_FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One training: an arm, a model and a seed; of the arm `local`, one site's.

    start: the folder of the model that it begins from.
    """

    arm: Arm
    site: str | None
    model: str
    seed: int
    study: Study = field(compare=False)
    start: Path | None = field(default=None, compare=False)

    @property
    def place(self) -> str:
        """The arm, with the site where there is one: `central`, `local-north`."""
        return self.arm if self.site is None else f"{self.arm}-{self.site}"

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
) -> list[Trial]:
    """All trainings, seed by seed; what is None follows from the scenario's `compare`.

    A wrong name is a ConfigError that says which names there are.
    """
    chosen = scenario.compare
    possible = {
        "federated-dp": scenario.study.privacy.enabled,
        "start-only": scenario.start is not None,
    }
    allowed = [arm for arm in ARMS if possible.get(arm, True)]
    wanted = [_arm(name) for name in arms or chosen.arms or allowed]
    _refuse_repeats("arm", wanted)
    if "start-only" in wanted and not possible["start-only"]:
        raise ConfigError(
            "arm start-only: name a model to start from with --start, or leave it out"
        )
    names = list(models or chosen.models)
    _refuse_repeats("model", names)
    studies = {name: study_of(scenario, name) for name in names}
    sites = [site.name for site in scenario.cohort.sites]
    return [
        Trial(
            arm=arm,
            site=site,
            model=name,
            seed=seed,
            study=_study_for(arm, study),
            start=scenario.start_folder,
        )
        for seed in range(seeds or chosen.seeds)
        for arm in wanted
        for name, study in studies.items()
        for site in (sites if arm == "local" else [None])
    ]


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


def _study_for(arm: Arm, study: Study) -> Study:
    if arm != "federated-dp":
        return without_privacy(study)
    if not study.privacy.enabled:
        raise ConfigError(
            "arm federated-dp: the study is without privacy; set privacy.epsilon and no "
            "privacy.noise_multiplier, or leave the arm out with --arms"
        )
    return study


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
