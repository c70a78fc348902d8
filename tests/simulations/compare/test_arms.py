"""Training that is no federation: who is pooled, how much a step sees, which round is kept."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from client.budget.plan import plan_round
from client.private.clipping import forward_losses
from client.records.dataset import open_dataset
from client.site.site import Site
from client.training.exact import exact_histograms
from irene_model.errors import ConfigError
from irene_model.metrics import metrics
from irene_model.metrics.metrics import macro_auroc
from irene_model.metrics.selection import best_round, latest_of_the_best
from irene_model.study.study import Study
from irene_model.weights.weights import new_model, to_arrays
from simulations.compare.arms import Member, pool_patients, train_at_one_place, without_privacy
from simulations.hospitals.hospitals import write_hospitals
from simulations.hospitals.scenario import Scenario
from tests.helpers.small_scenario import small_scenario

SGD = ("training.optimizer=sgd", "federation.local_steps=1", "federation.rounds=1")


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    return small_scenario(tmp_path_factory.mktemp("scenario"), "training.learning_rate=0.1", *SGD)


@pytest.fixture(scope="module")
def study(scenario: Scenario) -> Study:
    return without_privacy(scenario.study)


@pytest.fixture(scope="module")
def members(
    scenario: Scenario, study: Study, tmp_path_factory: pytest.TempPathFactory
) -> list[Member]:
    written = write_hospitals(scenario, tmp_path_factory.mktemp("out") / "hospitals", seed=1)
    sites = [Site.read(path) for path in written]
    return [Member(site=site, dataset=open_dataset(site, study)) for site in sites]


def test_a_pool_holds_each_sites_records_and_patients(members: list[Member]) -> None:
    datasets = [member.dataset for member in members]
    pooled = pool_patients(datasets)
    for split in ("train", "validation", "test"):
        own = [d.batch(rows) for d in datasets for rows in d.patients[split]]
        both = [pooled.batch(rows) for rows in pooled.patients[split]]
        assert len(own) == len(both) > 0
        for mine, theirs in zip(own, both, strict=True):
            assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert len(pooled.training_digests) == sum(len(d.training_digests) for d in datasets)


def test_one_central_step_is_gradient_descent_on_everybody(
    members: list[Member], study: Study
) -> None:
    """With expected batches above the sites' sizes everyone is drawn, and with one record a patient
    nothing is left to chance."""
    study = study.model_copy(
        update={"training": study.training.model_copy(update={"expected_batch": 500})}
    )
    members = [
        replace(
            member,
            dataset=replace(
                member.dataset,
                study=study,
                patients={
                    split: tuple(rows[:1] for rows in patients)
                    for split, patients in member.dataset.patients.items()
                },
            ),
        )
        for member in members
    ]
    fitted = train_at_one_place(study, members, name="central", seed=3)
    model = new_model(study, seed=3)
    before, expected_batch = to_arrays(model), 0.0
    for member in members:
        rows = np.concatenate(member.dataset.patients["train"])
        forward_losses(model, member.dataset.batch(rows))[1].sum().backward()
        expected_batch += max(10, round(len(rows), -1))  # a small site declares tens
    rate = plan_round(study, 10, 1).learning_rate
    for name, parameter in model.named_parameters():
        if parameter.grad is None:
            continue
        expected = before[name] - rate * parameter.grad.numpy() / expected_batch
        np.testing.assert_allclose(fitted.weights[name], expected, atol=2e-6, err_msg=name)


def test_the_best_validation_round_is_kept(members: list[Member], study: Study) -> None:
    longer = study.model_copy(
        update={"federation": study.federation.model_copy(update={"rounds": 6})}
    )
    fitted = train_at_one_place(longer, members, name="central", seed=0)
    assert list(fitted.validation) == [1, 2, 3, 4, 5, 6] and fitted.rounds == 6
    pooled = pool_patients([member.dataset for member in members])
    histograms = exact_histograms(fitted.weights, pooled, "validation", torch.device("cpu"))
    best = max(value for value in fitted.validation.values() if value is not None)
    assert macro_auroc([histograms]) == pytest.approx(best) == fitted.validation[fitted.kept_round]
    assert best_round({1: 0.5, 2: 0.9, 3: 0.9, 4: None}) == 2  # the earliest of equals
    assert best_round({1: None, 2: None}) == 2


def test_of_noised_values_the_last_that_is_no_worse_is_kept() -> None:
    seen = {60: 0.786, 120: 0.831, 180: 0.828}
    assert latest_of_the_best(seen, {60: 0.757, 120: 0.807, 180: 0.807}) == 180
    assert latest_of_the_best(seen, {120: 0.830}) == 120  # by more than noise explains
    assert latest_of_the_best(seen, {60: 0.1, 180: 0.1}) == 120  # the best has no interval
    assert latest_of_the_best({**seen, 240: None}, {120: 0.8}) == 180
    assert latest_of_the_best({1: None, 2: None}, {}) == 2


def test_equal_seeds_give_equal_weights_and_places_differ(
    members: list[Member], study: Study
) -> None:
    first = train_at_one_place(study, members, name="central", seed=0)
    again = train_at_one_place(study, members, name="central", seed=0)
    alone = train_at_one_place(study, members[:1], name="local-north", seed=0)
    for name, array in first.weights.items():
        np.testing.assert_array_equal(array, again.weights[name])
    assert any((array != alone.weights[name]).any() for name, array in first.weights.items())


def test_a_place_without_patients_is_refused(members: list[Member], study: Study) -> None:
    nobody = replace(
        members[0],
        dataset=replace(members[0].dataset, patients={**members[0].dataset.patients, "train": ()}),
    )
    with pytest.raises(ConfigError, match="local-north: has no patients to train on"):
        train_at_one_place(study, [nobody], name="local-north", seed=0)


def test_the_macro_auroc_is_of_pooled_patients(members: list[Member], study: Study) -> None:
    weights = to_arrays(new_model(study, seed=0))
    each = [exact_histograms(weights, m.dataset, "train", torch.device("cpu")) for m in members]
    at_once = exact_histograms(
        weights, pool_patients([m.dataset for m in members]), "train", torch.device("cpu")
    )
    assert macro_auroc(each) == pytest.approx(float(np.mean(metrics.aurocs(at_once))), abs=1e-6)
    assert macro_auroc([np.zeros_like(at_once)]) is None
