"""Every method is about as large as IRENE, and says which sizes it can't have."""

import pytest

from irene_model.errors import ConfigError
from irene_model.methods.fusion import FusionConfig
from irene_model.methods.methods import FusionModel
from irene_model.methods.sizes import parameter_count, sized
from irene_model.network import PRESETS, IreneConfig
from irene_model.weights.weights import config_of
from tests.helpers.models.small_methods import ALL, study_of


@pytest.mark.parametrize("preset", ["tiny", "small"])
@pytest.mark.parametrize("method", ALL)
def test_parameters_within_a_fifth_of_irenes(method: str, preset: str) -> None:
    sizes = dict.fromkeys(("hidden_size", "num_attention_heads", "intermediate_size"))
    irene = config_of(study_of("irene", preset=preset, **sizes))
    other = config_of(study_of(method, preset=preset, **sizes))
    assert parameter_count(other) == pytest.approx(parameter_count(irene), rel=0.2)


@pytest.mark.parametrize("method", ALL)
def test_parameters_at_the_papers_inputs(method: str) -> None:
    irene = IreneConfig(**PRESETS["base"], num_labels=8)
    assert parameter_count(irene) == 99_497_480
    count = parameter_count(sized(irene, method, prior=0.1))
    assert count == pytest.approx(99_497_480, rel=0.02)


@pytest.mark.parametrize("preset", PRESETS)
def test_any_number_of_bidirectional_blocks_at_the_same_size(preset: str) -> None:
    irene = IreneConfig(**PRESETS[preset], num_labels=8)
    depth = irene.num_hidden_layers + irene.num_bidirectional_layers
    for k in range(depth // 2 + 1):
        sizes = {"num_hidden_layers": depth - k, "num_bidirectional_layers": k}
        other = IreneConfig(**{**PRESETS[preset], **sizes}, num_labels=8)
        assert parameter_count(other) == pytest.approx(parameter_count(irene), rel=0.2), k


def test_a_method_that_cannot_be_so_small_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"hybrid has .* give model\.num_hidden_layers"):
        config_of(study_of("hybrid", num_hidden_layers=1, num_bidirectional_layers=0))


@pytest.mark.parametrize(
    ("field", "value"), [("fusion", "late"), ("prior", 0.0), ("num_latents", 0)]
)
def test_impossible_settings_are_named(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        FusionModel(FusionConfig(**{field: value}))
