"""What a model takes is known before it is built."""

import time
from typing import Any

import pytest

from client.site.limits import Limits, check_study
from irene_model.errors import ConfigError, LimitExceeded
from irene_model.study.study import Study
from irene_model.study.wire import ENCODINGS, travelling_bytes
from irene_model.weights.model_footprint import footprint, least_parameters, tokens
from irene_model.weights.weights import config_of, new_model, to_arrays, trained_names
from tests.helpers.hospital_folder import STUDY

CASES: list[dict[str, Any]] = [
    {},
    {"model": {"preset": "small"}},
    {"model": {"method": "perceiver"}},
    {"model": {"method": "late_stacker"}},
    {"training": {"parameters": {"kind": "lora", "rank": 3}}},
    {"training": {"parameters": {"kind": "head"}}},
    {"text": {"max_tokens": 6, "width": 8, "trainable": False}},
]


def study(**changes: Any) -> Study:
    return Study.model_validate({**STUDY, **changes})


@pytest.mark.parametrize("case", CASES)
def test_the_count_is_that_of_the_model_that_would_be_built(case: dict[str, Any]) -> None:
    asked, size = study(**case), footprint(study(**case))
    model = new_model(asked, seed=0)
    assert size.parameters == sum(p.numel() for p in model.parameters())
    arrays, trained = to_arrays(model), trained_names(model)
    assert size.trained == sum(arrays[name].size for name in trained)
    assert 0 < least_parameters(asked) <= size.parameters
    assert size.down == travelling_bytes(arrays, "float32")
    assert size.up == travelling_bytes({name: arrays[name] for name in trained}, "float32")
    config = config_of(study())
    assert size.tokens == tokens(asked) == 1 + config.num_patches + config.num_clinical_tokens
    assert 4 * size.parameters < size.memory(1) < size.memory(2)


@pytest.mark.parametrize("wire", ENCODINGS)
def test_bytes_are_those_of_the_encoding(wire: str) -> None:
    asked = study(federation={**STUDY["federation"], "wire": wire})
    arrays = to_arrays(new_model(asked, seed=0))
    assert footprint(asked).up == travelling_bytes(arrays, asked.federation.wire)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": {"hidden_size": 32768, "intermediate_size": 131072}}, "most_parameters"),
        ({"model": {"hidden_size": 10**9}}, "most_parameters"),
        ({"model": {"num_hidden_layers": 500, "hidden_size": 512}}, "most_parameters"),
        ({"model": {"method": "git", "intermediate_size": 10**8}}, "most_parameters"),
        ({"training": {"parameters": {"kind": "lora", "rank": 10**9}}}, "most_parameters"),
        ({"text": {"width": 4096, "encoder": {
            "kind": "tokenizer", "name": "a", "sha256": "0" * 64, "vocab_size": 10**6}}},
         "most_parameters"),
        ({"image": {"size": 1024, "patch": 2}}, "most_tokens"),
        ({"panels": [{"name": "genes", "unit": "1", "low": 0, "high": 1,
                      "values": [f"G{n}" for n in range(20_000)]}]}, "most_tokens"),
    ],
)  # fmt: skip
def test_what_no_machine_of_a_hospital_holds_is_refused_at_once(
    changes: dict[str, Any], said: str
) -> None:
    asked = study(**changes)
    started = time.process_time()
    with pytest.raises(LimitExceeded, match=said):
        check_study(Limits(), asked)
    assert time.process_time() - started < 5


def test_a_site_bounds_parameters_and_tokens_itself() -> None:
    size = footprint(study())
    check_study(Limits(most_parameters=size.parameters, most_tokens=size.tokens), study())
    with pytest.raises(LimitExceeded, match=f"a model of {size.parameters} parameters; this site"):
        check_study(Limits(most_parameters=size.parameters - 1), study())
    with pytest.raises(LimitExceeded, match=f"a model of {size.tokens} tokens; this site allows"):
        check_study(Limits(most_tokens=size.tokens - 1), study())


def test_every_preset_is_within_the_bounds_that_hold_where_none_is_given() -> None:
    for preset in ("tiny", "small", "base"):
        check_study(Limits(), study(model={"preset": preset}, image={"size": 224, "patch": 16}))


def test_a_depth_without_end_is_no_study() -> None:
    with pytest.raises(ValueError, match="num_hidden_layers"):
        study(model={"num_hidden_layers": 10**6, "hidden_size": 8, "num_attention_heads": 1})
    with pytest.raises(ConfigError, match="make no model"):
        footprint(study(model={"hidden_size": 30}))
