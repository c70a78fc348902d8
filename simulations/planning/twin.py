"""A simulated twin: made-up hospitals of the same sizes, trained as a study says and as proposed.

With fewer patients than there are, batch and noise shrink alike: the rate at which patients are
sampled, the steps and the noise in a mean gradient stay what they are, and only what patients teach
is less. Such a twin has no epsilon of its own, which nobody needs whom nobody has borne.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from irene_model.errors import ConfigError
from irene_model.privacy import evaluation_noise
from irene_model.study import Study
from simulations.compare import Observer, compare, grid
from simulations.hospitals import Cohort, Scenario, SimulatedSite
from simulations.patients import DISEASES
from simulations.planning.proposal import Proposal
from simulations.planning.prospect import prospect_of
from simulations.planning.public import TRAINED, Public
from simulations.planning.settings import text_of, with_settings
from simulations.planning.subject import Subject

_SECTIONS = ("text", "model", "training", "federation", "privacy", "evaluation")
_LEAST_PATIENTS = 8
_BIGGER = 1.5  # a radiograph's side over what the model reads of it


@dataclass(frozen=True, kw_only=True)
class Twin:
    """What made-up patients make of settings: name -> AUROC, interval, kept round, rounds.

    share: of the real number of patients. stands_in: whether made-up diseases stand for labels
    that nobody can make up.
    """

    patients: int
    share: float
    stands_in: bool
    reached: Mapping[str, Mapping[str, Any]]


def train_twin(
    subject: Subject,
    public: Public,
    proposals: Sequence[Proposal],
    out: Path,
    *,
    patients: int | None,
    seeds: int,
    observer: Observer,
) -> Twin:
    """Train each proposal, and the study as it is at its epsilon, on the same made-up patients.

    patients: of the twin, with those held out; None is as many as there are. The same call goes on
    after an interruption. ConfigError for a twin that can't be, and for a folder of another one.
    """
    real = public.patients / TRAINED
    patients = round(real) if patients is None else patients
    least = max(_LEAST_PATIENTS, 4 * len(public.sites))
    if not least <= patients <= 10 * real:
        raise ConfigError(
            f"--twin-patients: must be from {least} to {round(10 * real)}, ten times what there is"
        )
    share = patients / real
    studies: dict[str, Study] = {}
    for each in proposals:
        name = f"epsilon{each.epsilon:g}"
        spends = {"epsilon": each.epsilon, "delta": each.delta, "noise_multiplier": None}
        keys = {f"privacy.{key}": value for key, value in spends.items()}
        studies |= {f"now-{name}": with_settings(subject.study, keys), name: each.study}
    shrunk = {name: shrink(made_up(study), public, share) for name, study in studies.items()}
    base = next(iter(shrunk.values()))
    chosen = _scenario(subject.scenario, public, base, patients, shrunk)
    arm = "federated-secure" if base.federation.secure else "federated-dp"
    trials = grid(chosen, arms=[arm], models=list(shrunk), seeds=seeds)
    results = compare(chosen, trials, out, parallel=1, observer=observer)
    return Twin(
        patients=patients,
        share=share,
        stands_in=made_up(subject.study) != subject.study,
        reached={name: _reached(results["arms"][f"{arm}/{name}"]) for name in shrunk},
    )


def shrink(study: Study, public: Public, share: float) -> Study:
    """The study for `share` of the patients, with the noise of a mean gradient as it is."""
    secure = study.federation.secure
    settings: dict[str, Any] = {}
    if secure is not None:
        settings["federation.secure.roster"] = None
        settings["federation.secure.patients"] = max(1, round(share * secure.patients))
    if abs(share - 1) < 0.01:
        return with_settings(study, settings)
    planned = evaluation_noise(study, "validation")
    settings |= {
        "training.expected_batch": max(1, round(share * study.training.expected_batch)),
        "privacy.epsilon": None,
        "privacy.noise_multiplier": share * prospect_of(study, public).even_noise,
        "evaluation.epsilon": None,
        "evaluation.noise_multiplier": share * planned,
    }
    return with_settings(study, settings)


def made_up(study: Study) -> Study:
    """The study with made-up diseases in place of labels of which one is none of these."""
    if set(study.labels) <= set(DISEASES):
        return study
    return with_settings(study, {"labels": list(DISEASES)[: len(study.labels)]})


def _scenario(
    scenario: Scenario | None,
    public: Public,
    base: Study,
    patients: int,
    shrunk: Mapping[str, Study],
) -> Scenario:
    cohort = None if scenario is None else scenario.cohort
    if cohort is None or len(cohort.sites) != len(public.sites):
        pixels = min(1024, max(32, round(_BIGGER * base.image.size)))
        sites = [SimulatedSite(name=name, share=size) for name, size in public.sites.items()]
        cohort = Cohort(patients=patients, image_pixels=pixels, sites=tuple(sites))
    variants = {name: _settings(study) for name, study in shrunk.items()}
    like: dict[str, Any] = {} if scenario is None else dict(scenario)
    like |= {"join": (), "folds": None, "own_models": False, "masks": False, "study": base}
    like["cohort"] = cohort.model_copy(update={"patients": patients})
    like["compare"] = {"variants": variants}
    return Scenario.model_validate(like)


def _settings(study: Study) -> Sequence[str]:
    document = study.model_dump(mode="json")
    return [f"{section}={text_of(document[section])}" for section in _SECTIONS]


def _reached(row: Mapping[str, Any]) -> dict[str, Any]:
    """AUROC and interval: over seeds, or of a single seed over its test patients."""
    seeds = row["seeds"]
    auroc = row["auroc"] if len(seeds) > 1 else seeds[0]["auroc"]
    kept = [seed["kept_round"] for seed in seeds]
    return {"auroc": auroc["macro"], "ci95": auroc["ci95"], "kept": kept, "rounds": row["rounds"]}
