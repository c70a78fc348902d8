"""Real folders that a scenario joins: read, judged before anything runs, and dealt into folds.

A comparison leaves a real folder as it is. It writes a site.yaml of its own that names the real
files where they lie, and beside it the split of each patient, so that the client reads a fold like
any hospital. Cache and ledger lie there too: the hospital's own are neither read nor charged.
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from client.ledger import NO_BUDGET_ALONE
from client.records import read_placed_records
from client.site import Site
from irene_model.errors import ConfigError
from irene_model.journal import private_folder
from irene_model.study import Study
from simulations.hospitals.scenario import Scenario
from simulations.splits import deal_folds, splits_of

_SPLIT = "irene_sim_split"  # a column that no hospital has
_OWN = {"folder", "cache", "ledger", "mask_key"}


def joined_sites(scenario: Scenario) -> dict[Path, Site]:
    """The site.yaml files of `join`, absolute, and what they say.

    Raises ConfigError for two sites of one name, for names that the study does not have and for a
    text or image encoder that is not there.
    """
    found: dict[Path, Site] = {}
    taken = [] if scenario.cohort is None else [site.name for site in scenario.cohort.sites]
    for given in scenario.join:
        path = (scenario.folder / given).resolve()
        site = Site.read(path)
        site.check_against(scenario.study)
        site.text_reader(scenario.study)
        site.image_encoder(scenario.study)
        if site.site in taken:
            raise ConfigError(
                f"{path}: site: another site of the scenario is named '{site.site}'; give each "
                "hospital a name of its own"
            )
        taken.append(site.site)
        found[path] = site
    return found


def site_names(scenario: Scenario) -> list[str]:
    """All sites of the scenario, the synthetic ones first."""
    synthetic = [] if scenario.cohort is None else [site.name for site in scenario.cohort.sites]
    return [*synthetic, *(site.site for site in joined_sites(scenario).values())]


def check_budgets(sites: Sequence[Site], study: Study) -> None:
    """Refuse a study without noise where a site has a budget, and one of secure sums where it has
    none for when all others collude: the site would decline its first round."""
    for site in sites:
        if site.budget != "none" and not study.privacy.enabled:
            raise ConfigError(
                f"site {site.site}: budget: the study trains without noise "
                "(privacy.noise_multiplier=0), which no budget covers; write `budget: none` into "
                "its site.yaml, or give the study an epsilon"
            )
        secure = study.federation.secure is not None
        if secure and site.budget != "none" and site.budget.alone is None:
            raise ConfigError(f"site {site.site}: {NO_BUDGET_ALONE}")


def write_joined(scenario: Scenario, out: Path, *, seed: int) -> list[Path]:
    """A folder for each joined site under `out`, with a site.yaml and `seed`'s split of it.

    Seed s takes fold s mod F of dealing s div F, so that F seeds test every patient once. Without
    `folds` each site keeps the split that its own site.yaml says. ConfigError for a site with
    fewer patients than folds.
    """
    written = []
    for site in joined_sites(scenario).values():
        folder = private_folder(out / site.site)
        document = _absolute(site.model_dump(exclude=_OWN, exclude_none=True), site.folder)
        if site.columns.image is not None:  # a path, but for the cell that it has to hold
            pattern = str(site.folder / site.columns.image.pattern)
            document["columns"]["image"]["pattern"] = pattern
        for position, mapped in site.sounds.items():
            document["sounds"][position]["pattern"] = str(site.folder / mapped.pattern)
        if scenario.folds is not None:
            splits = _write_splits(site, scenario, folder / "splits.csv", seed)
            document["records"]["joins"].append(splits)
            document["columns"]["split"] = {"column": _SPLIT}
        path = folder / "site.yaml"
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def _write_splits(site: Site, scenario: Scenario, path: Path, seed: int) -> dict[str, str]:
    """Each patient's split as a table; returns how site.yaml joins it."""
    assert scenario.folds is not None
    labels = scenario.study.labels
    positives: dict[str, np.ndarray[Any, Any]] = {}
    for placed in read_placed_records(site, scenario.study):
        has = np.array([placed.record.labels.get(label) == 1 for label in labels])
        patient = placed.record.patient_id
        positives[patient] = positives.get(patient, False) | has
    dealing = np.random.default_rng([seed // scenario.folds, *site.site.encode()])
    try:
        assigned = deal_folds(np.stack(list(positives.values())), scenario.folds, dealing)
    except ValueError as error:
        raise ConfigError(f"folds: site {site.site}: {error}; take fewer folds") from None
    key = site.columns.patient_id
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow([key, _SPLIT])
        table.writerows(zip(positives, splits_of(assigned, seed, scenario.folds), strict=True))
    return {"path": path.name, "on": key}


def _absolute(value: Any, folder: Path) -> Any:
    """Settings as plain values, every path in them seen from `folder`."""
    if isinstance(value, Path):
        return str(folder / value)
    if isinstance(value, dict):
        return {key: _absolute(each, folder) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_absolute(each, folder) for each in value]
    return value
