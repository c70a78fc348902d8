"""A hospital's second model: what it is taught, and what it begins from."""

import numpy as np
import pytest
import torch

from client.fine_tuning.epochs import Recipe
from client.fine_tuning.fine_tuning import fitted_at_home
from client.fine_tuning.teaching import fresh_weights, taught
from client.fine_tuning.unfinished import Unfinished
from client.records.dataset import SiteDataset, open_dataset
from client.site.site import Site
from irene_model.weights.weights import load_arrays, new_model, to_arrays
from simulations.hospitals.hospitals import write_hospitals
from tests.helpers.small_scenario import small_scenario

CPU = torch.device("cpu")
RECIPE = Recipe(epochs=1, batch=8, rate=0.01, seed=2)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Site, SiteDataset]:
    place = tmp_path_factory.mktemp("home")
    scenario = small_scenario(
        place, "cohort.patients=90", "cohort.sites=[{name: north}]", "model.linear_path=true",
        "text.trainable=false",
    )  # fmt: skip
    (written,) = write_hospitals(scenario, place / "hospitals", seed=0)
    site = Site.read(written)
    return site, open_dataset(site, scenario.study)


def test_half_of_a_training_label_is_what_the_teacher_says(
    home: tuple[Site, SiteDataset],
) -> None:
    _, dataset = home
    teacher = new_model(dataset.study, seed=4).eval()
    with torch.no_grad():
        teacher.head.weight.normal_()
    before = dataset.tensors["labels"].clone()
    found = taught(dataset, to_arrays(teacher), CPU)
    assert torch.equal(dataset.tensors["labels"], before)  # the cached labels are nobody else's
    rows = np.concatenate(dataset.patients["train"])
    batch = dataset.batch(rows)
    with torch.no_grad():
        said = torch.sigmoid(teacher(**batch).logits)
    told = found.batch(rows)
    torch.testing.assert_close(told["labels"], 0.5 * batch["labels"] + 0.5 * said)
    assert torch.equal(told["label_mask"], batch["label_mask"])
    for split in ("validation", "test"):
        held_out = np.concatenate(dataset.patients[split])
        assert torch.equal(found.batch(held_out)["labels"], dataset.batch(held_out)["labels"])


def test_fresh_weights_are_those_of_a_model_without_a_linear_path(
    home: tuple[Site, SiteDataset],
) -> None:
    _, dataset = home
    study = dataset.study
    start = to_arrays(new_model(study, seed=9))
    fresh = fresh_weights(dataset, start, seed=3)
    shape = study.model.model_copy(update={"linear_path": False})
    plain = new_model(study.model_copy(update={"model": shape}), seed=3).eval()
    with torch.no_grad():  # the words are not trained, so they are the federation's
        table = torch.from_numpy(start["embeddings.text_tokens.weight"])
        plain.embeddings.text_tokens.weight.copy_(table)
    model = new_model(study, seed=0).eval()
    load_arrays(model, fresh)
    batch = dataset.batch(np.concatenate(dataset.patients["train"]))
    torch.testing.assert_close(model(**batch).logits, plain(**batch).logits)
    assert np.abs(fresh["head.weight"]).max() > 0


def test_the_second_model_keeps_its_path_silent_and_may_be_the_one_that_is_kept(
    home: tuple[Site, SiteDataset],
) -> None:
    site, dataset = home
    start = to_arrays(new_model(dataset.study, seed=1))
    states: list[Unfinished] = []
    reached = fitted_at_home(start, site, dataset, RECIPE, anew=3, after=states.append)
    assert [state.epoch for state in states] == [1, 2, 3, 4]
    assert np.abs(states[0].weights["linear.numbers_head.weight"]).max() > 0
    for state in states[1:]:
        assert not state.weights["linear.numbers_head.weight"].any()
    judged = [reached.validation[epoch] for epoch in range(5)]
    best = max(range(5), key=lambda epoch: (judged[epoch] or 0, -epoch))
    assert None not in judged
    assert reached.kept_epoch == best
    kept = start if best == 0 else states[best - 1].weights
    assert all((reached.best[name] == kept[name]).all() for name in kept)
