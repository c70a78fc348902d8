"""Runs a comparison in a folder: cohorts, trials, and a results.json that grows with each trial.

.. code-block:: text

    DIR/comparison.json                     the scenario that all of it follows from
    DIR/seed-0/hospitals/                   one seed's patients, shared by all arms and models
    DIR/seed-0/split.png, split.csv         how they are split over the sites
    DIR/seed-0/central/irene/result.json    a finished trial; `model/` beside it holds its weights
    DIR/results.json, DIR/report.html       all finished trials that this call asked for
    DIR/numbers.csv                         every figure in them, a line each

What is finished stays: the same call goes on where it was cut off, and one with further arms,
models or seeds trains only those.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from client.records import open_dataset
from client.site import Site
from simulations.compare.cohorts import begin_folder, seed_cohort
from simulations.compare.comparison import Interval, summarise
from simulations.compare.trial_grid import Trial
from simulations.compare.trials import finished, run_federated, run_in_process
from simulations.compare.workers import in_workers, one_thread
from simulations.hospitals import (
    Scenario,
    check_scenario,
    site_names,
)
from simulations.report import numbers_csv, write_page

Json = dict[str, Any]
_FEDERATED = ("federated", "federated-dp", "federated-secure", "leave-one-site-out")


class Observer(Protocol):
    """Who is told how far a comparison is."""

    def hospitals(self, done: int, total: int) -> None:
        """`done` of `total` synthetic records of a seed are on disk."""

    def trials(self, total: int) -> None:
        """So many trials are asked for."""

    def trial(self, trial: Trial, result: Json, done: int, total: int) -> None:
        """One more trial is finished, or was before."""


def compare(
    scenario: Scenario,
    trials: Sequence[Trial],
    out: Path,
    *,
    parallel: int,
    observer: Observer,
    ray_address: str | None = None,
) -> Json:
    """Train what is left of `trials`, at most `parallel` at once; returns the results.

    A federation runs alone: its engine trains several sites at once, on the Ray cluster at
    `ray_address` if that is given. ConfigError for a folder of
    another scenario.
    """
    one_thread()
    check_scenario(scenario)
    begin_folder(scenario, out)
    results = {trial: done for trial in trials if (done := finished(trial, out)) is not None}
    _report(scenario, trials, results, out)
    observer.trials(len(trials))
    for count, (trial, result) in enumerate(list(results.items()), start=1):
        observer.trial(trial, result, count, len(trials))
    for seed in dict.fromkeys(trial.seed for trial in trials):
        left = [trial for trial in trials if trial.seed == seed and trial not in results]
        if not left:
            continue
        sites = seed_cohort(scenario, out, seed, progress=observer.hospitals)
        for trial, result in _train(
            left, sites, out, scenario, parallel=parallel, ray_address=ray_address
        ):
            results[trial] = result
            _report(scenario, trials, results, out)
            observer.trial(trial, result, len(results), len(trials))
    return _report(scenario, trials, results, out)


def _train(
    trials: Sequence[Trial],
    sites: Sequence[Path],
    out: Path,
    scenario: Scenario,
    *,
    parallel: int,
    ray_address: str | None,
) -> Iterator[tuple[Trial, Json]]:
    """Trials and their results, as they finish."""
    for study in {trial.study.canonical: trial.study for trial in trials}.values():
        for path in sites:
            open_dataset(Site.read(path), study)  # one builds the cache, all others read it
    federations = [trial for trial in trials if trial.arm in _FEDERATED]
    after = [trial for trial in trials if trial.goes_on is not None]
    yield from _alone([t for t in trials if t not in (*federations, *after)], sites, out, parallel)
    for trial in federations:
        yield (
            trial,
            run_federated(
                trial,
                sites,
                out,
                parallel_sites=scenario.parallel_sites,
                synthetic=scenario.cohort is not None,
                masks=scenario.masks,
                ray_address=ray_address,
            ),
        )
    yield from _alone(after, sites, out, parallel)


def _alone(
    trials: Sequence[Trial], sites: Sequence[Path], out: Path, parallel: int
) -> Iterator[tuple[Trial, Json]]:
    """Those that are no federations."""
    work = partial(run_in_process, sites=sites, out=out)
    yield from in_workers(work, trials, parallel=parallel)


def _report(
    scenario: Scenario, trials: Sequence[Trial], results: Mapping[Trial, Json], out: Path
) -> Json:
    """Write results.json, numbers.csv and report.html of what is finished, each as a whole."""
    rows: dict[str, list[Json]] = {trial.row: [] for trial in trials}
    for trial in trials:
        if trial in results:
            rows[trial.row].append(results[trial])
    summary = summarise(
        rows,
        labels=scenario.study.labels,
        sites=site_names(scenario),
        over=Interval.SEEDS if scenario.cohort is not None else Interval.PATIENTS,
    )
    summary |= {"study": scenario.study.name, "trials": len(trials), "finished": len(results)}
    work = out / "results.json.partial"
    work.write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    work.replace(out / "results.json")
    work = out / "numbers.csv.partial"
    work.write_text(numbers_csv(summary), encoding="utf-8")
    work.replace(out / "numbers.csv")
    write_page(summary, out / "report.html")
    return summary
