"""Each hospital's own model beside the federation's: the same judgement, from the same start."""

from pathlib import Path

import numpy as np
import pytest

from client.fine_tuning.fine_tuning import fitted_alone, fitted_at_home
from client.records.dataset import SiteDataset, open_dataset
from client.site.site import Site
from client.training.exact import score_tests
from irene_model.exchange.protocol import Arrays
from irene_model.metrics.patient_draws import exact_aurocs
from irene_model.weights.weights import new_model, to_arrays
from simulations.compare.own_model import _ALONE, own_models
from simulations.run import start_run
from tests.helpers.small_scenario import small_scenario


def judged(weights: Arrays, site: Site, dataset: SiteDataset) -> float | None:
    """By the scores themselves (`tests/irene_model/metrics/test_patient_draws.py`)."""
    return exact_aurocs({site.site: score_tests(weights, site, dataset)[1]})["macro"]


@pytest.mark.slow
@pytest.mark.parametrize("path", [False, True])
def test_the_own_model_and_the_federations_are_judged_on_the_hospitals_patients(
    tmp_path: Path, *, path: bool
) -> None:
    sites = "cohort.sites=[{name: north}, {name: south}]"
    linear = ["text.trainable=false", "model.linear_path=true"] if path else []
    scenario = small_scenario(
        tmp_path, "cohort.patients=60", sites, "federation.rounds=2", "own_models=true", *linear
    )
    folder = start_run(scenario, tmp_path / "run", seed=3)
    assert folder.info["own_models"] is True
    moved = {name: array + np.float32(0.01) for name, array in folder.load_checkpoint(0).items()}
    told: list[tuple[int, int]] = []
    with own_models(folder) as finish:
        folder.save_checkpoint(1, moved, {})  # as if a federation had come so far meanwhile
        found = finish(lambda done, total: told.append((done, total)))
    assert [each.site for each in found] == ["north", "south"]
    assert told == [(0, 2), (1, 2), (2, 2)]
    model = scenario.study.model.model_copy(update={"linear_path": False})
    by_itself = scenario.study.model_copy(update={"model": model})
    first = to_arrays(new_model(by_itself, seed=3))  # what a hospital alone would begin with
    read = [Site.read(folder.path / "hospitals" / each.site / "site.yaml") for each in found]
    of_run, of_own = (
        [open_dataset(site, study) for site in read] for study in (scenario.study, by_itself)
    )
    for each, site, dataset, own_dataset in zip(found, read, of_run, of_own, strict=True):
        exact = judged(moved, site, dataset)
        assert each.federation == exact
        assert not list(site.folder.glob(".irene/ledger*"))  # nothing was charged
        if each.own is not None and exact is not None:
            assert each.gain.mean == pytest.approx(exact - each.own)
        alone = fitted_alone(first, site, own_dataset, _ALONE).best
        assert each.own == judged(alone, site, own_dataset)
        scored = {
            other.site: score_tests(alone, other, there)[1]
            for other, there in zip(read, of_own, strict=True)
        }
        assert each.own_everywhere == exact_aurocs(scored)["macro"]
        at_home = fitted_at_home(moved, site, dataset).best  # as `irene-client fine-tune` does it
        tuned = judged(at_home, site, dataset)
        assert each.fine_tuned == tuned
        if each.own is not None and tuned is not None:
            assert each.gain_at_home.mean == pytest.approx(tuned - each.own)
