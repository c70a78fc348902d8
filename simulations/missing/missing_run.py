"""Trains under each lack and tests under each lack, in a folder; goes on where it was cut off.

.. code-block:: text

    DIR/comparison.json, DIR/seed-0/hospitals/    as of `irene-sim compare`, which may share it
    DIR/seed-0/missing/irene/whole/result.json    a finished training, tested
    DIR/missing.json, missing.csv, missing.html   all that this call asked for

All trainings are at one place and without privacy, by the code of the arm `central`: what is asked
is what a lack costs, and noise would hide it. A training's own lack holds in its validation
patients too. All tests are of the same test patients of all hospitals.
"""

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from client.records import SiteDataset, open_dataset
from client.site import Site
from client.training import score_tests
from irene_model.errors import ConfigError
from irene_model.exchange import Arrays
from irene_model.metrics import exact_aurocs, resampled
from irene_model.study import Study
from simulations.compare import (
    Member,
    begin_folder,
    error_of,
    in_workers,
    seed_cohort,
    study_of,
    train_at_one_place,
    without_privacy,
)
from simulations.hospitals import Scenario, check_scenario, without_sums
from simulations.missing.lacks import (
    Way,
    all_combinations,
    lacking,
    only,
    presence,
    without_it,
)
from simulations.missing.missing_results import Json, summarise, write_results
from simulations.missing.protocol import Protocol, Training

_RESULT = "result.json"
_MOST_COMBINED = 5  # of so many modalities there are 31 combinations


def run_protocol(
    scenario: Scenario,
    protocol: Protocol,
    out: Path,
    *,
    parallel: int = 1,
    drawn: Callable[[int, int], None],
    told: Callable[[Training, Json, int, int], None],
) -> Json:
    """Train and test what is left; returns the contents of missing.json.

    drawn: told how many of how many records of a seed are on disk. told: of each training, how many
    of how many are done. ConfigError for a folder of another scenario.
    """
    check_scenario(scenario)
    if scenario.cohort is None:
        raise ConfigError(
            "cohort: is required: the protocol is for synthetic patients; of real folders "
            "`without` in a comparison tells what a missing modality costs"
        )
    studies = {name: study_of(scenario, name) for name in protocol.models}
    begin_folder(scenario, out)
    results: dict[Training, Json] = {}
    order: list[Training] = []
    for seed in range(protocol.seeds):
        sites = seed_cohort(scenario, out, seed, progress=drawn)
        plain = {m: without_privacy(without_sums(s, len(sites))) for m, s in studies.items()}
        first = [each.dataset for each in _members(sites, plain[protocol.models[0]])]
        wanted = _trainings(protocol, first, seed)
        order += wanted
        total = len(wanted) * protocol.seeds
        for training in wanted:
            if (done := _finished(training, plain[training.model].fingerprint, out)) is not None:
                results[training] = done
        left = [training for training in wanted if training not in results]
        work = partial(_trained, sites=sites, studies=plain, protocol=protocol, out=out)
        for training, result in in_workers(work, left, parallel=parallel):
            results[training] = result
            told(training, result, len(results), total)
    summary = summarise([results[training] for training in order], study=scenario.study.name)
    write_results(summary, out)
    return summary


def _members(sites: Sequence[Path], study: Study) -> list[Member]:
    read = [Site.read(path) for path in sites]
    return [Member(site=site, dataset=open_dataset(site, study)) for site in read]


def _trainings(protocol: Protocol, datasets: Sequence[SiteDataset], seed: int) -> list[Training]:
    """By pattern only for what some record of the cohort lacks: else there is none."""
    modalities = _there(datasets)
    found = []
    for model in protocol.models:
        found.append(Training(model=model, seed=seed))
        for modality in modalities:
            real = without_it(datasets, modality) is not None
            found += [
                Training(model=model, seed=seed, modality=modality, rate=rate, way=way)
                for way in protocol.ways
                if way == "random" or real
                for rate in protocol.train_rates
                if rate > 0
            ]
    return found + [
        Training(model=protocol.models[0], seed=seed, alone=modality) for modality in modalities
    ]


def _there(datasets: Sequence[SiteDataset]) -> list[str]:
    """The modalities and panels that any record has."""
    shown = [presence(each.tensors, each.study) for each in datasets]
    return [name for name in shown[0] if any(each[name].any() for each in shown)]


def _finished(training: Training, fingerprint: str, out: Path) -> Json | None:
    path = training.folder(out) / _RESULT
    if not path.exists():
        return None
    result: Json = json.loads(path.read_text(encoding="utf-8"))
    if result["fingerprint"] != fingerprint:
        raise ConfigError(
            f"{path.parent}: was trained under other settings of '{training.model}'; give a new "
            "folder, or the settings as they were"
        )
    return result


def _trained(
    training: Training,
    *,
    sites: Sequence[Path],
    studies: Mapping[str, Study],
    protocol: Protocol,
    out: Path,
) -> Json:
    """Train, test under every lack, and write the result last and whole."""
    study, began = studies[training.model], time.monotonic()
    chosen = _members(sites, study)
    fitted = train_at_one_place(
        study, _taught(training, chosen), name=f"missing {training.name}", seed=training.seed
    )
    result: Json = {
        "schema": 1,
        "model": training.model,
        "seed": training.seed,
        "training": training.name,
        "modality": training.modality,
        "rate": training.rate,
        "way": training.way if training.modality else None,
        "alone": training.alone,
        "fingerprint": study.fingerprint,
        "kept_round": fitted.kept_round,
        "tests": _tests(training, fitted.weights, chosen, protocol),
        "seconds": round(time.monotonic() - began, 1),
    }
    folder = training.folder(out)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    work = folder / f"{_RESULT}.partial"
    work.write_text(json.dumps(result, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    work.replace(folder / _RESULT)
    return result


def _taught(training: Training, members: Sequence[Member]) -> list[Member]:
    """The hospitals as the training sees them."""
    if training.alone is not None:
        return [
            _with(each, only(each.dataset.tensors, each.dataset.study, [training.alone]))
            for each in members
        ]
    if training.modality is None:
        return list(members)
    return _hidden(members, training.modality, training.rate, training.way, [training.seed, 1])


def _hidden(
    members: Sequence[Member], modality: str, rate: float, way: Way, entropy: Sequence[int]
) -> list[Member]:
    donors = without_it([each.dataset for each in members], modality) if way == "pattern" else None
    return [
        _with(
            each,
            lacking(
                each.dataset.tensors,
                each.dataset.study,
                modality,
                rate,
                rng=np.random.default_rng([*entropy, number]),
                donors=donors,
            ),
        )
        for number, each in enumerate(members)
    ]


def _with(member: Member, tensors: Mapping[str, Any]) -> Member:
    # What other processes would find on disk is not this.
    dataset = replace(member.dataset, tensors=dict(tensors), stored=None)
    return replace(member, dataset=dataset)


def _tests(
    training: Training, weights: Arrays, members: Sequence[Member], protocol: Protocol
) -> list[Json]:
    """Of what it was trained without; of the whole training every lack and every combination."""
    datasets = [member.dataset for member in members]
    there = _there(datasets)
    found = [{"modality": None, "rate": 0.0, "way": None, **_judged(weights, members)}]
    if training.alone is not None:
        shown = [
            _with(each, only(each.dataset.tensors, each.dataset.study, [training.alone]))
            for each in members
        ]
        return [{"modality": None, "rate": 0.0, "way": None, **_judged(weights, shown)}]
    for modality in [training.modality] if training.modality else there:
        for way in protocol.ways if without_it(datasets, modality) else ("random",):
            for rate in protocol.test_rates:
                if rate > 0:
                    lack = _hidden(members, modality, rate, way, [training.seed, 2])
                    about = {"modality": modality, "rate": rate, "way": way}
                    found.append({**about, **_judged(weights, lack)})
    if training.modality is None and 1 < len(there) <= _MOST_COMBINED:
        for kept in all_combinations(there)[1:]:
            shown = [_with(m, only(m.dataset.tensors, m.dataset.study, kept)) for m in members]
            found.append({"present": list(kept), **_judged(weights, shown)})
    return found


def _judged(weights: Arrays, members: Sequence[Member]) -> Json:
    """AUROC on all test patients, and its standard error over draws of them."""
    scored = {m.site.site: score_tests(weights, m.site, m.dataset)[1] for m in members}
    auroc = exact_aurocs(scored)["macro"]
    return {"auroc": auroc, "se": error_of(auroc, resampled(scored)["all"])}
