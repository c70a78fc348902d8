"""The linear probe: logistic regression and nothing else, private like all methods."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from transformers import AutoModel

from client.participant import Participant
from client.private.dp import PrivateGradient
from client.records.dataset import open_dataset
from irene_model import IreneProcessor
from irene_model.errors import ConfigError
from irene_model.exchange.requests import TrainRequest
from irene_model.methods.probe import LinearProbe
from irene_model.network.linear_path import frozen_features
from irene_model.weights.model_footprint import footprint, least_parameters
from irene_model.weights.starting import StartingPoint
from irene_model.weights.weights import config_of, new_model, to_arrays
from tests.helpers.hospital_folder import STUDY, HospitalFolder
from tests.helpers.image_encoders import image_of, write_tiny_image_encoder
from tests.helpers.models.frozen_records import LABELS, LABS, PANEL, F, probe_study, records
from tests.helpers.text_encoders import text_of, write_tiny


@pytest.fixture
def probing(hospital: HospitalFolder, tmp_path: Path) -> HospitalFolder:
    """A hospital of a study with both encoders and the method."""
    film, words = write_tiny_image_encoder(tmp_path / "film"), write_tiny(tmp_path / "words")
    hospital.configure("image", image_of(film), "study.yaml")
    hospital.configure("text", text_of(words), "study.yaml")
    hospital.configure("model", {"method": "linear_probe"}, "study.yaml")
    hospital.configure("encoders", {"film": str(film), "enc": str(words)})
    return hospital


def test_it_is_logistic_regression() -> None:
    """At the optimum of the same penalised loss it gives scikit-learn's probabilities."""
    batch, model = records(200), new_model(probe_study(), seed=0)
    optimiser = torch.optim.LBFGS(
        model.parameters(), max_iter=2_000, tolerance_grad=1e-8, line_search_fn="strong_wolfe"
    )
    weights = [p for name, p in model.named_parameters() if name.endswith("weight")]

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        # scikit-learn adds up the records' losses; here each is the mean over its labels.
        whole = LABELS * model(**batch).losses.sum() + sum(w.square().sum() for w in weights) / 2
        whole.backward()
        return whole

    optimiser.step(loss)
    features = model(**batch).features.numpy()
    found = model(**batch).logits.sigmoid().detach().numpy()
    for label in range(LABELS):
        truth = batch["labels"][:, label].numpy()
        own = LogisticRegression(C=1.0, tol=1e-8, max_iter=5_000).fit(features, truth)
        np.testing.assert_allclose(found[:, label], own.predict_proba(features)[:, 1], atol=2e-3)
    assert features.shape == (200, F + F + 2 * LABS + 4 + 2)


@pytest.mark.parametrize("engine", ["fused", "opacus"])
def test_per_patient_gradients_are_exact(engine: str) -> None:
    """Clipped sums as a loop over single records gives them."""
    panels = {"panels": [PANEL]}
    batch, model = records(7, panels=3), new_model(probe_study(**panels), seed=0)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    clip = 0.3
    expected = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    clipped = 0
    for row in range(7):
        model.zero_grad()
        model(**{name: tensor[row : row + 1] for name, tensor in batch.items()}).loss.backward()
        found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        norm = torch.cat([g.flatten() for g in found.values()]).norm()
        clipped += bool(norm > clip)
        for name, gradient in found.items():
            expected[name] += gradient * min(1.0, clip / float(norm))
    assert clipped
    model.zero_grad()
    private = PrivateGradient(model, clip_norm=clip, engine=engine)  # type: ignore[arg-type]
    private.accumulate(batch)
    sums = private.take_sums()
    private.close()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(sums[parameter], expected[name], atol=1e-4, rtol=1e-4)


def test_private_steps_without_noise_reach_what_scikit_learn_reaches() -> None:
    train, test = records(400, seed=1), records(400, seed=2)
    model = new_model(probe_study(), seed=0)
    private = PrivateGradient(model, clip_norm=1e3)
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.02, weight_decay=0.01)
    for _ in range(150):
        private.accumulate(train)
        rng = np.random.default_rng(0)
        private.release(noise_multiplier=0.0, expected_batch=400, rng=rng)
        optimiser.step()
    private.close()
    truth = test["labels"][:, 0].numpy()
    own = LogisticRegression().fit(model(**train).features, train["labels"][:, 0].numpy())
    theirs = auroc(own.decision_function(model(**test).features), truth)
    ours = auroc(model(**test).logits[:, 0].detach().numpy(), truth)
    assert theirs > 0.85 and ours > theirs - 0.01


def auroc(scores: np.ndarray, truth: np.ndarray) -> float:
    above = scores[truth == 1][:, None] > scores[truth == 0][None]
    return float(above.mean())


def test_what_is_hidden_changes_nothing_and_what_is_shown_does() -> None:
    model, batch = new_model(probe_study(panels=[PANEL]), seed=0), records(30, panels=3)
    for parameter in model.parameters():
        parameter.data += torch.randn_like(parameter)
    before = model(**batch).logits
    values = {
        "image_embeddings": "image_mask", "text_embeddings": "text_mask", "lab_values": "lab_mask",
        "panel_values": "panel_mask",
    }  # fmt: skip
    for value, mask in values.items():
        hidden, shown = batch[value].clone(), batch[value].clone()
        hidden[~batch[mask]] = torch.nan
        assert torch.equal(model(**{**batch, value: hidden}).logits, before)
        shown[batch[mask]] += torch.randn_like(shown[batch[mask]])
        assert not torch.equal(model(**{**batch, value: shown}).logits, before)
        fewer = {**batch, mask: torch.zeros_like(batch[mask])}
        assert not torch.equal(model(**fewer).logits, before)  # missing is known to be missing
    batch["age"][~batch["demographics_mask"][:, 0]] = torch.nan
    assert torch.equal(model(**batch).logits, before)
    everything = {k: v for k, v in records(3, panels=3).items() if "mask" not in k}
    assert torch.isfinite(model(**everything).loss)
    nobody = {name: tensor[:0] for name, tensor in batch.items()}
    assert model(**nobody).loss.item() == 0.0


def test_an_encoders_own_scale_is_no_matter() -> None:
    config, batch = config_of(probe_study()), records(5)
    found = frozen_features(config, batch)
    louder = {**batch, "image_embeddings": 50 * batch["image_embeddings"] + 3}
    torch.testing.assert_close(frozen_features(config, louder), found, atol=1e-4, rtol=1e-4)
    lengths = found["image_head"].norm(dim=1)
    torch.testing.assert_close(lengths, 4.0 * batch["image_mask"].float())


def test_it_starts_at_the_prior_and_reads_what_is_frozen() -> None:
    study = probe_study()
    model = new_model(study, seed=0)
    assert isinstance(model, LinearProbe)
    torch.testing.assert_close(model(**records(3)).logits.sigmoid(), torch.full((3, LABELS), 0.1))
    count = LABELS * (2 * F + 2 * LABS + 4 + 2 + 1)
    assert footprint(study).parameters == footprint(study).trained == count
    assert least_parameters(study) <= count
    pixels = probe_study(image=STUDY["image"])
    assert not hasattr(new_model(pixels, seed=0), "image_head")
    texts = probe_study(text=STUDY["text"])
    assert not hasattr(new_model(texts, seed=0), "text_head")
    with pytest.raises(ConfigError, match=r"model\.method: linear_probe reads frozen features"):
        config_of(probe_study(image=STUDY["image"], text=STUDY["text"]))


def test_a_private_round_at_a_hospital(probing: HospitalFolder, tmp_path: Path) -> None:
    study = probing.study
    weights = to_arrays(new_model(study, seed=1))
    reply = Participant.at(probing.site_file).train(
        TrainRequest.about(study, run="r", round=1, arrays=weights)
    )
    assert (reply.outcome, reply.reason) == ("updated", "")
    assert reply.arrays.keys() == weights.keys()
    model = new_model(study, seed=1)
    model.save_pretrained(tmp_path / "saved")
    batch = open_dataset(probing.site, study).batch(np.arange(5))
    again = AutoModel.from_pretrained(tmp_path / "saved")
    assert torch.equal(again(**batch).logits, model(**batch).logits)


def test_a_hospital_without_texts_and_laboratory_sends_no_weights_of_them(
    probing: HospitalFolder,
) -> None:
    probing.configure("columns.text", None)
    weights = to_arrays(new_model(probing.study, seed=1))
    reply = Participant.at(probing.site_file).train(
        TrainRequest.about(probing.study, run="r", round=1, arrays=weights)
    )
    assert weights.keys() - reply.arrays.keys() == {"text_head.weight"}


def test_an_earlier_probe_starts_one_by_the_names_of_its_laboratory(tmp_path: Path) -> None:
    earlier, labs = probe_study(), STUDY["labs"]
    model = new_model(earlier, seed=0)
    for parameter in model.parameters():
        parameter.data += torch.randn_like(parameter)
    model.save_pretrained(tmp_path / "earlier")
    IreneProcessor(earlier).save_pretrained(tmp_path / "earlier")
    batch = records(6)
    turned = {**batch, **{n: batch[n].flip(1) for n in ("lab_values", "lab_mask")}}
    start = StartingPoint(irene=tmp_path / "earlier")
    ours, _ = start.model(probe_study(labs=labs[::-1]), seed=5)
    torch.testing.assert_close(ours(**turned).logits, model(**batch).logits)
    alone, _ = start.model(probe_study(labs=labs[1:]), seed=5)
    fewer = {**batch, "lab_mask": batch["lab_mask"] & torch.tensor([False, True])}
    second = {**fewer, **{n: fewer[n][:, 1:] for n in ("lab_values", "lab_mask")}}
    torch.testing.assert_close(alone(**second).logits, model(**fewer).logits)
