"""One round at one site: what an update is made of, and when it is paid for."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from client.budget.plan import plan_round
from client.ledger.ledger import Ledger
from client.private.clipping import forward_losses
from client.records.dataset import SiteDataset, open_dataset, sample_patients
from client.site.site import Budget
from client.training.exact import exact_histograms
from client.training.training import ProximalPull
from irene_model.errors import BudgetExceeded, ProtocolError
from irene_model.exchange.protocol import Arrays
from irene_model.weights.weights import load_arrays, new_model
from tests.helpers.hospital_folder import SMALL, HospitalFolder
from tests.helpers.sites.trained_round import (
    CPU,
    flat,
    reproducible,
    update_of,
    weights_of,
    without_noise,
)


def test_a_private_update_moves_every_array(dataset: SiteDataset, ledger: Ledger) -> None:
    weights = weights_of(dataset)
    before = {name: array.copy() for name, array in weights.items()}
    update = update_of(dataset, ledger, weights=weights)
    assert update.keys() == weights.keys()
    for name, array in update.items():
        assert array.shape == weights[name].shape and array.dtype == np.float32
        assert np.isfinite(array).all() and np.abs(array).max() > 0, name
        np.testing.assert_array_equal(weights[name], before[name])  # the message stays as it came
    assert [r.released for r in ledger.reservations()] == [True]


def test_one_step_without_privacy_is_plain_gradient_descent(
    dataset: SiteDataset, tmp_path: Path
) -> None:
    training = dataset.study.training.model_copy(update={"optimizer": "sgd"})
    dataset = replace(dataset, study=dataset.study.model_copy(update={"training": training}))
    plan, weights = without_noise(dataset), weights_of(dataset)
    update = update_of(
        dataset,
        Ledger(tmp_path / "free.sqlite", None),
        plan=plan,
        weights=weights,
        randomness=reproducible(),
    )
    model = new_model(dataset.study, seed=0)
    load_arrays(model, weights)
    rows = sample_patients(dataset.patients["train"], sample_rate=1.0, rng=reproducible().sampling)
    assert len(rows) == 6  # everyone; and the update is divided by the expected batch, not by them
    forward_losses(model, dataset.batch(rows))[1].sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        expected = -plan.learning_rate * parameter.grad.numpy() / 5
        np.testing.assert_allclose(update[name], expected, rtol=2e-3, atol=2e-7, err_msg=name)


def test_training_without_privacy_learns(dataset: SiteDataset, tmp_path: Path) -> None:
    plan, weights = without_noise(dataset, steps=30), weights_of(dataset)
    plan = replace(plan, learning_rate=0.01)
    update = update_of(dataset, Ledger(tmp_path / "free.sqlite", None), plan=plan, weights=weights)
    batch = dataset.batch(np.concatenate(dataset.patients["train"]))
    losses = []
    for arrays in (weights, {name: weights[name] + update[name] for name in weights}):
        model = new_model(dataset.study, seed=0)
        load_arrays(model, arrays)
        with torch.no_grad():
            losses.append(float(forward_losses(model.eval(), batch)[1].mean()))
    assert losses[1] < 0.7 * losses[0]


@pytest.mark.parametrize("image", [0.0, 0.9999])
def test_a_hidden_image_teaches_nothing_and_is_seen_in_evaluation(
    hospital: HospitalFolder, tmp_path: Path, image: float
) -> None:
    """All of this hospital's records have laboratory values, so any image may go."""
    hospital.configure("training.modality_dropout", {"image": image}, "study.yaml")
    hospital.configure("model", SMALL, "study.yaml")
    dataset = open_dataset(hospital.site, hospital.study)
    weights = weights_of(dataset)
    update = update_of(
        dataset,
        Ledger(tmp_path / "free.sqlite", None),
        plan=without_noise(dataset),
        weights=weights,
        randomness=reproducible(),
    )
    assert update["embeddings.patches.weight"].any() == (image == 0)
    assert update["embeddings.labs.weight"].any()
    plain = dataset.study.model_copy(update={"training": type(dataset.study.training)()})
    seen = [
        exact_histograms(weights, replace(dataset, study=study), "test", CPU)
        for study in (dataset.study, plain)
    ]
    np.testing.assert_array_equal(seen[0], seen[1])


def test_a_released_round_gives_the_same_bytes_and_costs_once(
    dataset: SiteDataset, ledger: Ledger
) -> None:
    first = update_of(dataset, ledger)
    spent = ledger.epsilon(delta=1e-3)
    elsewhere = {name: array + 1 for name, array in weights_of(dataset).items()}
    again = update_of(dataset, ledger, weights=elsewhere)
    assert {n: a.tobytes() for n, a in again.items()} == {n: a.tobytes() for n, a in first.items()}
    assert ledger.epsilon(delta=1e-3) == spent
    other_run = update_of(
        dataset, ledger, run="s",
        plan=replace(plan := plan_round(dataset.study, 10, 1),
                     mechanism=replace(plan.mechanism, noise_multiplier=50.0)),
    )  # fmt: skip
    assert not np.array_equal(flat(first), flat(other_run))
    assert ledger.epsilon(delta=1e-3) > spent


def unknown_name(weights: Arrays) -> None:
    weights["intruder"] = weights["head.bias"]


def missing_name(weights: Arrays) -> None:
    del weights["head.bias"]


def wrong_shape(weights: Arrays) -> None:
    weights["head.bias"] = weights["head.bias"][:1]


def wrong_dtype(weights: Arrays) -> None:
    weights["head.bias"] = weights["head.bias"].astype(np.float64)


def not_a_number(weights: Arrays) -> None:
    weights["head.bias"][0] = np.nan


@pytest.mark.parametrize(
    "spoil", [unknown_name, missing_name, wrong_shape, wrong_dtype, not_a_number]
)
def test_malformed_weights_are_refused_before_they_cost_anything(
    dataset: SiteDataset, ledger: Ledger, spoil: Callable[[Arrays], None]
) -> None:
    weights = weights_of(dataset)
    spoil(weights)
    with pytest.raises(ProtocolError, match="intruder" if "intruder" in weights else "head.bias"):
        update_of(dataset, ledger, weights=weights)
    assert ledger.reservations() == ()


def test_over_budget_nothing_is_trained(
    dataset: SiteDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a patient was drawn")

    monkeypatch.setattr("client.devices.draws.sample_patients", refuse)
    poor = Ledger(tmp_path / "poor.sqlite", Budget(epsilon=0.01, delta=1e-3))
    with pytest.raises(BudgetExceeded):
        update_of(dataset, poor)
    assert poor.reservations() == ()


def test_a_crash_while_training_keeps_the_charge(
    dataset: SiteDataset, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("client.devices.draws.sample_patients", crash)
    with pytest.raises(MemoryError):
        update_of(dataset, ledger)
    (reservation,) = ledger.reservations()
    assert not reservation.released
    monkeypatch.undo()
    update_of(dataset, ledger)  # the retry uses the charge that is there
    assert [r.released for r in ledger.reservations()] == [True]


def test_fedprox_pulls_by_mu_times_the_way_from_the_rounds_weights() -> None:
    layer = torch.nn.Linear(2, 1)
    start = {name: p.detach().clone() for name, p in layer.named_parameters()}
    pull = ProximalPull(layer, 0.5)
    with torch.no_grad():
        layer.weight.add_(torch.tensor([[1.0, -2.0]]))
    layer.weight.grad = torch.tensor([[10.0, 10.0]])  # the noised gradient
    pull.add_to_gradients()
    torch.testing.assert_close(layer.weight.grad, torch.tensor([[10.5, 9.0]]))
    torch.testing.assert_close(layer.bias.grad, torch.zeros(1))  # it had none, and has not moved
    assert torch.equal(layer.bias, start["bias"])
    plain = ProximalPull(layer, 0.0)
    plain.add_to_gradients()
    torch.testing.assert_close(layer.weight.grad, torch.tensor([[10.5, 9.0]]))
