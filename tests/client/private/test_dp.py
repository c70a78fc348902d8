"""The private gradient against a plain loop over single patients, and its noise's moments."""

import numpy as np
import pytest
import torch

from client.private.clipping import Clip
from client.private.dp import PrivateGradient
from irene_model.errors import ConfigError
from irene_model.study.settings import parse
from irene_model.study.study import Study
from irene_model.weights.weights import new_model
from tests.helpers.models.clipped_sums import STUDY, batch_of, clipped_sum_by_loop, rows


@pytest.mark.parametrize("clip_norm", [0.05, 1e3])
def test_clipped_sums_equal_a_loop_over_patients(clip_norm: float) -> None:
    batch = batch_of(7)
    expected = clipped_sum_by_loop(new_model(STUDY, seed=1), batch, clip_norm)
    model = new_model(STUDY, seed=1)
    private = PrivateGradient(model, clip_norm=clip_norm)
    private.accumulate(rows(batch, slice(0, 3)))  # two micro-batches of one logical batch
    private.accumulate(rows(batch, slice(3, 7)))
    private.release(noise_multiplier=0.0, expected_batch=10.0, rng=np.random.default_rng(0))
    for (name, parameter), total in zip(model.named_parameters(), expected, strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, total / 10, rtol=1e-5, atol=1e-7, msg=name)


def test_one_patient_moves_the_sum_by_at_most_the_clip_norm() -> None:
    batch = batch_of(6, seed=3)
    sums = []
    for count in (5, 6):
        model = new_model(STUDY, seed=1)
        private = PrivateGradient(model, clip_norm=0.1)
        private.accumulate(rows(batch, slice(0, count)))
        private.release(noise_multiplier=0.0, expected_batch=1.0, rng=np.random.default_rng(0))
        sums.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    assert 0.05 < float((sums[1] - sums[0]).norm()) <= 0.1 * (1 + 1e-5)


def test_an_empty_batch_is_pure_noise_of_the_right_size_and_shape() -> None:
    model = new_model(STUDY, seed=1)
    private = PrivateGradient(model, clip_norm=0.5)
    private.release(noise_multiplier=3.0, expected_batch=2.0, rng=np.random.default_rng(7))
    noise = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).double()
    deviation = 3.0 * 0.5 / 2.0
    n = len(noise)
    assert abs(float(noise.mean())) < 4 * deviation / n**0.5
    assert float(noise.std()) == pytest.approx(deviation, rel=4 / (2 * n) ** 0.5)
    kurtosis = float(((noise / noise.std()) ** 4).mean())
    assert kurtosis == pytest.approx(3.0, abs=4 * (24 / n) ** 0.5)


def test_a_patient_with_a_non_finite_gradient_counts_as_zero() -> None:
    batch = batch_of(4, seed=2)
    batch["image_mask"][:] = True
    broken = {name: tensor.clone() for name, tensor in batch.items()}
    broken["pixel_values"][1] = float("inf")
    kept = {name: tensor[[0, 2, 3]] for name, tensor in batch.items()}
    gradients = []
    for some in (broken, kept):
        model = new_model(STUDY, seed=1)
        private = PrivateGradient(model, clip_norm=1.0)
        private.accumulate(some)
        private.release(noise_multiplier=0.0, expected_batch=1.0, rng=np.random.default_rng(0))
        gradients.append([p.grad for p in model.parameters()])
    for left, right in zip(*gradients, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-7)


def test_ghost_clipping_whose_norm_is_no_bound_is_not_offered() -> None:
    privacy = {"epsilon": 8, "engine": "ghost"}
    with pytest.raises(ConfigError, match=r"privacy\.engine: input should be 'fused' or 'opacus'"):
        parse(Study, {**STUDY.model_dump(), "privacy": privacy}, "study.yaml")


def test_clip_factors_by_hand() -> None:
    norms = torch.tensor([5.0, 0.5, 0.0, float("nan"), float("inf"), 1e36]).double()
    clip = Clip.to(1.0, norms)
    torch.testing.assert_close(clip.factors, torch.tensor([0.2, 1.0, 1.0, 0.0, 0.0, 0.0]))
    assert float(clip.factors[0]) < 0.2
    assert clip.left_out is not None
    assert clip.left_out.tolist() == [False, False, False, True, True, True]
    assert Clip.to(1.0, norms[:3]).left_out is None


def test_bf16_autocast_stays_close_to_full_precision() -> None:
    batch = batch_of(5, seed=4)
    gradients = []
    for enabled in (False, True):
        model = new_model(STUDY, seed=1)
        private = PrivateGradient(model, clip_norm=0.1)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            private.accumulate(batch)
        private.release(noise_multiplier=0.0, expected_batch=1.0, rng=np.random.default_rng(0))
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))  # type: ignore[union-attr]
    assert float((gradients[0] - gradients[1]).norm() / gradients[0].norm()) < 0.05
