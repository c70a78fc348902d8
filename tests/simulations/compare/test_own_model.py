"""Each hospital's own model beside the federation's: the same judgement, from the same start."""

from pathlib import Path

import numpy as np
import pytest

from client.fine_tuning.fine_tuning import fitted_at_home
from client.records.dataset import SiteDataset, open_dataset
from client.site.site import Site
from client.training.exact import score_tests
from irene_model.exchange.protocol import Arrays
from irene_model.metrics.patient_draws import exact_aurocs
from simulations.compare.own_model import _ALONE, own_models
from simulations.run import start_run
from tests.helpers.small_scenario import small_scenario


def judged(weights: Arrays, site: Site, dataset: SiteDataset) -> float | None:
    """By the scores themselves (`tests/irene_model/metrics/test_patient_draws.py`)."""
    return exact_aurocs({site.site: score_tests(weights, site, dataset)[1]})["macro"]


@pytest.mark.slow
def test_the_own_model_and_the_federations_are_judged_on_the_hospitals_patients(
    tmp_path: Path,
) -> None:
    sites = "cohort.sites=[{name: north}, {name: south}]"
    scenario = small_scenario(
        tmp_path, "cohort.patients=60", sites, "federation.rounds=2", "own_models=true"
    )
    folder = start_run(scenario, tmp_path / "run", seed=3)
    assert folder.info["own_models"] is True
    weights = folder.load_checkpoint(0)
    moved = {name: array + np.float32(0.01) for name, array in weights.items()}
    told: list[tuple[int, int]] = []
    with own_models(folder) as finish:
        folder.save_checkpoint(1, moved, {})  # as if a federation had come so far meanwhile
        found = finish(lambda done, total: told.append((done, total)))
    assert [each.site for each in found] == ["north", "south"]
    assert told == [(0, 2), (1, 2), (2, 2)]
    for each in found:
        site = Site.read(folder.path / "hospitals" / each.site / "site.yaml")
        dataset = open_dataset(site, scenario.study)
        exact = judged(moved, site, dataset)
        assert each.federation == exact
        assert not list(site.folder.glob(".irene/ledger*"))  # nothing was charged
        if each.own is not None and exact is not None:
            assert each.gain.mean == pytest.approx(exact - each.own)
        alone = fitted_at_home(weights, site, dataset, _ALONE).best
        own = judged(alone, site, dataset)
        assert each.own == own
        at_home = fitted_at_home(moved, site, dataset).best  # as `irene-client fine-tune` does it
        tuned = judged(at_home, site, dataset)
        assert each.fine_tuned == tuned
        if each.own is not None and tuned is not None:
            assert each.gain_at_home.mean == pytest.approx(tuned - each.own)
