"""One round at one site: what an update is made of, and when it is paid for."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from client.budget.plan import Plan, plan_round
from client.ledger.ledger import Ledger
from client.private.clipping import forward_losses
from client.private.noise import KeystreamNoise
from client.private.randomness import Randomness
from client.records.dataset import SiteDataset, open_dataset, sample_patients
from client.site.site import Budget
from client.training.training import ProximalPull, train_round
from irene_model.errors import BudgetExceeded, ProtocolError
from irene_model.exchange.protocol import Arrays
from irene_model.weights.weights import load_arrays, new_model, to_arrays
from simulations.compare.arms import exact_histograms
from tests.helpers.hospital_folder import SMALL, HospitalFolder

CPU = torch.device("cpu")


@pytest.fixture
def dataset(hospital: HospitalFolder) -> SiteDataset:
    hospital.configure("model", SMALL, "study.yaml")
    return open_dataset(hospital.site, hospital.study)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite", Budget(epsilon=8, delta=1e-3))


def weights_of(dataset: SiteDataset) -> Arrays:
    return to_arrays(new_model(dataset.study, seed=3))


def reproducible(seed: int = 0, site: str = "north", round: int = 1) -> Randomness:
    return Randomness.reproducible(seed=seed, site=site, round=round)


def update_of(
    dataset: SiteDataset,
    ledger: Ledger,
    *,
    plan: Plan | None = None,
    weights: Arrays | None = None,
    randomness: Randomness | None = None,
    run: str = "r",
) -> Arrays:
    return train_round(
        weights or weights_of(dataset),
        dataset=dataset,
        plan=plan or plan_round(dataset.study, 10, 1),
        ledger=ledger,
        run=run,
        round=1,
        randomness=randomness or Randomness.of_the_operating_system(),
        device=CPU,
    )


def flat(update: Arrays) -> np.ndarray[Any, Any]:
    return np.concatenate([update[name].ravel() for name in sorted(update)])


def without_noise(dataset: SiteDataset, *, steps: int = 1) -> Plan:
    plan = plan_round(dataset.study, 10, 1)
    mechanism = replace(plan.mechanism, noise_multiplier=0.0, sample_rate=1.0, steps=steps)
    return replace(plan, mechanism=mechanism, expected_batch=5.0)


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


def test_the_noise_of_an_update_has_the_size_of_the_plan(
    dataset: SiteDataset, tmp_path: Path
) -> None:
    training = dataset.study.training.model_copy(update={"optimizer": "sgd"})
    dataset = replace(dataset, study=dataset.study.model_copy(update={"training": training}))
    plan = plan_round(dataset.study, 10, 1)
    plan = replace(plan, mechanism=replace(plan.mechanism, noise_multiplier=3.0, steps=1))
    update = flat(update_of(dataset, Ledger(tmp_path / "free.sqlite", None), plan=plan))
    # Ten clipped gradients are nothing beside noise in thousands of directions.
    deviation = plan.learning_rate * 3.0 * plan.clip_norm / plan.expected_batch
    assert update.std() == pytest.approx(deviation, rel=0.05)


def test_real_randomness_heeds_no_seed(
    dataset: SiteDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two rounds after the same global seeds: other patients, other noise, other update."""
    updates, drawn, noises = [], [], []

    def spy_on_sampling(*args: Any, **kwargs: Any) -> Any:
        drawn.append(kwargs["rng"].bit_generator.state["state"])
        return sample_patients(*args, **kwargs)

    def spy_on_noise(source: KeystreamNoise, size: tuple[int, ...]) -> Any:
        noises.append(draw(source, size))
        return noises[-1]

    draw = KeystreamNoise.standard_normal
    monkeypatch.setattr("client.training.training.sample_patients", spy_on_sampling)
    monkeypatch.setattr(KeystreamNoise, "standard_normal", spy_on_noise)
    for name in ("a", "b"):
        torch.manual_seed(1)
        np.random.seed(1)
        random.seed(1)
        updates.append(
            flat(update_of(dataset, Ledger(tmp_path / name, Budget(epsilon=8, delta=1e-3))))
        )
    assert np.mean(updates[0] != updates[1]) > 0.95
    # Two steps a round: each has a state of its own, and no state is met again in the other round.
    assert len({str(state) for state in drawn}) == 4
    first, second = noises[: len(noises) // 2], noises[len(noises) // 2 :]
    assert first and len(first) == len(second)
    one, two = (np.concatenate([n.ravel() for n in part]) for part in (first, second))
    assert np.mean(one != two) > 0.95  # all together: of a small part, chance may meet a few


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_simulation_is_reproducible_and_leaves_the_global_state_alone(
    dataset: SiteDataset, tmp_path: Path, dropout: float
) -> None:
    model = dataset.study.model.model_copy(update={"hidden_dropout_prob": dropout})
    dataset = replace(dataset, study=dataset.study.model_copy(update={"model": model}))
    updates = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.random.get_rng_state()
        ledger = Ledger(tmp_path / f"{seed}.sqlite", None)
        updates.append(
            flat(update_of(dataset, ledger, plan=without_noise(dataset), randomness=reproducible()))
        )
        assert torch.equal(torch.random.get_rng_state(), before)
    np.testing.assert_array_equal(updates[0], updates[1])
    other = update_of(
        dataset,
        Ledger(tmp_path / "other.sqlite", None),
        plan=without_noise(dataset),
        randomness=replace(reproducible(), dropout=np.random.default_rng(9)),
    )
    assert np.array_equal(flat(other), updates[0]) == (dropout == 0)


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


def test_streams_are_never_the_same() -> None:
    kinds: list[Callable[[], Randomness]] = [
        Randomness.of_the_operating_system,
        Randomness.of_the_operating_system,
        reproducible,
        lambda: reproducible(seed=1),
        lambda: reproducible(site="south"),
        lambda: reproducible(round=2),
        lambda: reproducible(seed=1, round=0),
    ]
    drawn = []
    for make in kinds:
        randomness = make()
        streams = (randomness.sampling, randomness.noise, randomness.dropout)
        drawn += [tuple(stream.standard_normal((2,))) for stream in streams]
    assert len(set(drawn)) == len(drawn)


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

    monkeypatch.setattr("client.training.training.sample_patients", refuse)
    poor = Ledger(tmp_path / "poor.sqlite", Budget(epsilon=0.01, delta=1e-3))
    with pytest.raises(BudgetExceeded):
        update_of(dataset, poor)
    assert poor.reservations() == ()


def test_a_crash_while_training_keeps_the_charge(
    dataset: SiteDataset, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("client.training.training.sample_patients", crash)
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
