"""A model that is lent again is as one that was just built, but for its weights."""

import pytest
import torch

from irene_model.study.study import Study
from irene_model.weights.loans import lent_model
from irene_model.weights.weights import load_arrays, new_model, to_arrays
from tests.helpers.hospital_folder import SMALL, STUDY


def study(name: str = "one") -> Study:
    return Study.model_validate({**STUDY, "name": name, "model": SMALL})


def state(model: torch.nn.Module) -> list[tuple[str, bool, bool]]:
    return [(n, p.requires_grad, p.grad is None) for n, p in model.named_parameters()]


def test_it_is_lent_again_as_it_was_built() -> None:
    fresh = new_model(study(), seed=0)
    with lent_model(study(), again=True) as first:
        assert state(first) == state(fresh)
        for parameter in first.parameters():
            parameter.grad = torch.ones_like(parameter)
            parameter.requires_grad_(False)
    with lent_model(study(), again=True) as second:
        assert second is first and state(second) == state(fresh)
        load_arrays(second, to_arrays(fresh))
        for name, value in second.state_dict().items():
            assert torch.equal(value, fresh.state_dict()[name])


def test_one_at_a_time_and_none_after_an_error() -> None:
    with lent_model(study(), again=True) as one, lent_model(study(), again=True) as other:
        assert one is not other
    with pytest.raises(RuntimeError, match="out of memory"), lent_model(study(), again=True) as bad:
        raise RuntimeError("out of memory")
    with lent_model(study(), again=True) as next_one:
        assert next_one is not bad


def test_another_study_and_whoever_leaves_traces_get_another() -> None:
    with lent_model(study(), again=True) as kept:
        pass
    with lent_model(study(), again=False) as traced:
        assert traced is not kept
    with lent_model(study("two"), again=True) as other:
        assert other is not kept and other is not traced
