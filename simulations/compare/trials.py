"""One training of a comparison, judged like all others, in a folder of its own.

`result.json` is written last and whole: a folder that has it is finished. All arms keep the round
with the best validation AUROC of the sites that trained (where it is noised, the last that noise
can't tell from the best), and all are judged by the same code on the test patients of all sites.
"""

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from client.fine_tuning import fitted_at_home
from client.private import trained_parameters
from client.records import open_dataset
from client.site import Budget, Site
from irene_model.errors import ConfigError
from irene_model.exchange import Arrays
from irene_model.inputs import IreneProcessor
from irene_model.metrics import latest_of_the_best
from irene_model.study import Study
from irene_model.weights import (
    StartingPoint,
    load_arrays,
    new_model,
    start_sha256,
    stored_arrays,
    to_arrays,
)
from server.runs import RunFolder, versions
from simulations.compare.arms import (
    Fitted,
    Member,
    privacy_at_one_place,
    train_at_one_place,
)
from simulations.compare.judgement import judge
from simulations.compare.trial_grid import Trial
from simulations.hospitals import alone, mask_key, with_members

Json = dict[str, Any]
RESULT = "result.json"


def finished(trial: Trial, out: Path) -> Json | None:
    """The result of a finished trial; None of one that is not.

    ConfigError where it was trained under other settings than it has now.
    """
    path = trial.folder(out) / RESULT
    if not path.exists():
        return None
    result: Json = json.loads(path.read_text(encoding="utf-8"))
    if result["fingerprint"] != trial.study.fingerprint:
        raise ConfigError(
            f"{path.parent}: was trained under other settings of '{trial.model}'; give a new "
            "folder, or the settings as they were"
        )
    if not {"draws", "evidence"} <= set(result):
        raise ConfigError(
            f"{path.parent}: was made by an older version, without what intervals over patients "
            "need; give a new folder"
        )
    if result.get("start") != start_sha256(trial.start):
        raise ConfigError(
            f"{path.parent}: was trained from another start; give a new folder, or the --start as "
            "it was"
        )
    return result


def run_in_process(trial: Trial, sites: Sequence[Path], out: Path) -> Json:
    """Train an arm that is no federation, judge it and write its result.

    One that goes on from a federation finds its weights in that one's folder.
    """
    folder, members = _fresh(trial, out), _members(sites, trial.study)
    trained = [m for m in members if trial.site in (None, m.site.site)]
    started = time.monotonic()
    if trial.arm == "start-only":
        fitted = _start_of(trial)
    elif trial.goes_on is not None:
        model = new_model(trial.study, seed=trial.seed)
        federation = stored_arrays(trial.goes_on.folder(out) / "model", model.state_dict())
        fitted = _at_home(federation, *trained)
    else:
        fitted = train_at_one_place(
            trial.study,
            trained,
            name=trial.place,
            seed=trial.seed,
            start=StartingPoint(irene=trial.start),
        )
    seconds = time.monotonic() - started
    spends = trial.arm != "start-only"
    privacy = privacy_at_one_place(trial.study, trained) if spends else {}
    return _finish(trial, folder, fitted, members, seconds=seconds, privacy=privacy)


def run_federated(
    trial: Trial,
    sites: Sequence[Path],
    out: Path,
    *,
    parallel_sites: int,
    synthetic: bool,
    masks: bool = True,
    ray_address: str | None = None,
) -> Json:
    """Run a federation on Flower's engine, judge it and write its result.

    One that was cut off goes on from its last whole round. Each run charges ledgers of its own.
    A site that the trial leaves out takes no part, and its test patients are judged like all.
    """
    from simulations.run import simulate  # Flower and Ray: seconds that the other arms don't need

    folder = trial.folder(out) / "run"
    training = [path for path in sites if path.parent.name != trial.left_out]
    if (folder / "run.json").exists():
        run = RunFolder.resume(folder)
    else:
        run = RunFolder.create(
            _fresh(trial, out) / "run",
            with_members(
                trial.study,
                {name: mask_key(name, trial.seed) for name in (p.parent.name for p in training)},
            ),
            seed=trial.seed,
            start=StartingPoint(irene=trial.start),
            reproducible_noise=True,
            synthetic=synthetic,
            parallel_sites=parallel_sites,
            masks=masks,
            site_files=[str(path.resolve()) for path in training],
        )
    if not (folder / "results.json").exists():
        own = [_of_its_own(Site.read(path), trial, folder) for path in training]
        simulate(run, sites=own, ray_address=ray_address)
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    arm = results["arms"][run.info["arm"]]
    result = _finish(
        trial,
        folder.parent,
        _best_of(run),
        _members(sites, trial.study),
        seconds=arm["seconds"],
        privacy=arm["privacy"],
    )
    for round in range(run.last_round):  # each holds the weights and the strategy's moments
        shutil.rmtree(run.checkpoint(round), ignore_errors=True)
    return result


def _start_of(trial: Trial) -> Fitted:
    """The first weights, as if they had been trained."""
    model, _ = StartingPoint(irene=trial.start).model(trial.study, seed=trial.seed)
    return Fitted(weights=to_arrays(model), kept_round=0, rounds=0, validation={})


def _at_home(federation: Arrays, member: Member) -> Fitted:
    """As `irene-client fine-tune` goes on at a hospital."""
    reached = fitted_at_home(federation, member.site, member.dataset)
    return Fitted(
        weights=reached.best,
        kept_round=reached.kept_epoch,
        rounds=reached.epoch,
        validation=reached.validation,
    )


def _fresh(trial: Trial, out: Path) -> Path:
    """The trial's folder, empty of what an interrupted attempt left."""
    folder = trial.folder(out)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _members(sites: Sequence[Path], study: Study) -> list[Member]:
    read = [Site.read(path) for path in sites]
    return [Member(site=site, dataset=open_dataset(site, study)) for site in read]


def _of_its_own(site: Site, trial: Trial, folder: Path) -> Site:
    """The site with a ledger of this run alone, a budget for it alone, and metrics to match."""
    privacy = trial.study.privacy
    budget: Budget | Literal["none"] = "none"
    if privacy.enabled and privacy.epsilon is not None:
        most = alone(trial.study)
        if most is not None:
            most = max(most, privacy.epsilon)
        budget = Budget(epsilon=privacy.epsilon, delta=privacy.delta, alone=most)
    ledger = (folder / "ledgers" / f"{site.site}.sqlite").resolve()
    changes: dict[str, Any] = {"ledger": ledger, "budget": budget}
    if not privacy.enabled:
        changes |= {"metrics": "exact", "minimum_group": 1}
    return site.model_copy(update=changes)


def _best_of(run: RunFolder) -> Fitted:
    """The kept round of a federation, from the validation in its rounds' lines."""
    lines = [line for line in run.rounds() if line["evaluation"] is not None]
    validation = {line["round"]: line["evaluation"]["auroc"] for line in lines}
    noised = run.study.privacy.enabled
    kept = latest_of_the_best(
        validation or {run.last_round: None},
        {each["round"]: _lower_end(each["evaluation"]) for each in lines} if noised else {},
    )
    return Fitted(
        weights=run.load_checkpoint(kept),
        kept_round=kept,
        rounds=run.last_round,
        validation=validation,
    )


def _lower_end(evaluation: Json) -> float | None:
    interval = evaluation["auroc_ci95"]
    return None if interval is None else float(interval[0])


def _finish(
    trial: Trial,
    folder: Path,
    fitted: Fitted,
    members: Sequence[Member],
    *,
    seconds: float,
    privacy: Json,
) -> Json:
    """Judge the weights and write `model/` and, last, result.json."""
    model = new_model(trial.study, seed=0)
    load_arrays(model, fitted.weights)
    model.save_pretrained(folder / "model")
    IreneProcessor(trial.study).save_pretrained(folder / "model")
    result = {
        "schema": 1,
        "arm": trial.arm,
        "site": trial.site,
        "epsilon": trial.epsilon,
        "model": trial.model,
        "seed": trial.seed,
        "fingerprint": trial.study.fingerprint,
        "start": start_sha256(trial.start),
        "rounds": fitted.rounds,
        "kept_round": fitted.kept_round,
        "seconds": round(seconds, 1),
        "parameters": sum(p.numel() for p in trained_parameters(model)),
        **judge(fitted.weights, members, trial.study, entropy=[trial.seed, fitted.kept_round]),
        "privacy": privacy,
        "validation": {str(round): value for round, value in fitted.validation.items()},
        "versions": versions(),
    }
    work = folder / f"{RESULT}.partial"
    work.write_text(json.dumps(result, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    work.replace(folder / RESULT)
    return result
