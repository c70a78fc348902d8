"""IRENE beside a linear path: a linear probe at first, and private like everything else."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from client.private.clipping import ClippedSum
from client.private.fused import FusedSum
from client.private.opacus_engines import HookSum
from irene_model import IreneProcessor
from irene_model.errors import CheckpointError, ConfigError
from irene_model.explain.integrated_gradients import integrated_gradients
from irene_model.network.model import IreneModel
from irene_model.study.settings import parse
from irene_model.study.study import Study
from irene_model.weights.groups import is_trained
from irene_model.weights.starting import StartingPoint
from irene_model.weights.weights import config_of, new_model, read_model
from tests.helpers.hospital_folder import STUDY
from tests.helpers.models.clipped_sums import assert_equal, clipped_sum_by_loop, sums_of
from tests.helpers.models.frozen_records import PANEL, probe_study, records

SIZES = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24}


def study_of(**changes: object) -> Study:
    return probe_study(model={**SIZES, "linear_path": True}, panels=[PANEL], **changes)


def moved(study: Study, *, seed: int = 3) -> IreneModel:
    """The study's model, all of whose parameters differ from their first values."""
    model = new_model(study, seed=1).eval()
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.data += 0.2 * torch.randn(parameter.shape, generator=generator)
    assert isinstance(model, IreneModel)
    return model


def as_probe(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A linear path's weights under the linear probe's names."""
    found = {n.removeprefix("linear."): w for n, w in weights.items() if n.startswith("linear.")}
    found["head.weight"], found["head.bias"] = (
        found.pop("presence_head.weight"),
        weights["head.bias"],
    )
    return found


def test_it_begins_as_the_linear_probe() -> None:
    """Logits and the gradients of what both have, whatever the weights of the path."""
    batch, study = records(20, panels=3), study_of()
    model = new_model(study, seed=1)
    probe = new_model(probe_study(panels=[PANEL]), seed=1)
    torch.testing.assert_close(model(**batch).logits, probe(**batch).logits)
    path = moved(study).linear.state_dict()
    model.linear.load_state_dict(path)
    probe.load_state_dict(as_probe(model.state_dict()), strict=True)
    torch.testing.assert_close(model(**batch).logits, probe(**batch).logits)
    for each in (model, probe):
        each(**batch).loss.backward()
    gradients = as_probe({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    for name, parameter in probe.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad)
    assert model.head.weight.grad.abs().sum() > 0  # and it need not stay one


@pytest.mark.parametrize("engine", [FusedSum, HookSum])
@pytest.mark.parametrize("kind", ["all", "head"])
def test_clipped_sums_equal_a_loop_over_patients(engine: type[ClippedSum], kind: str) -> None:
    study = study_of(training={"parameters": {"kind": kind}})
    model, batch = moved(study).train(), records(7, panels=3)  # Opacus keeps nothing in eval
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert {"linear.text_head.weight", "linear.panel_heads.vitals_head.weight"} < trained
    expected = clipped_sum_by_loop(model, batch, 0.3)
    model.zero_grad()
    assert_equal(sums_of(engine, model, batch, clip_norm=0.3), expected)


def test_a_study_without_it_is_the_same_as_before() -> None:
    plain = probe_study(model=SIZES)
    assert "linear_path" not in plain.canonical
    off = probe_study(model={**SIZES, "linear_path": False})
    assert off.fingerprint == plain.fingerprint != study_of().fingerprint
    assert Study.from_canonical(study_of().canonical).model.linear_path
    assert not hasattr(new_model(plain, seed=0), "linear")


def test_it_is_refused_where_nothing_is_frozen() -> None:
    document = {**STUDY, "model": {**SIZES, "linear_path": True}}
    with pytest.raises(ConfigError, match=r"study.yaml: .*model\.linear_path: reads frozen") as e:
        parse(Study, document, "study.yaml")
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("method", ["linear_probe", "late_mean", "irene_joint", "image_only"])
def test_rivals_have_none_and_the_size_that_they_had(method: str) -> None:
    ours, plain = (
        config_of(probe_study(model={**SIZES, "method": method, "linear_path": path}))
        for path in (True, False)
    )
    assert not ours.linear_path and ours.to_dict() == plain.to_dict()


def test_what_moved_a_logit_adds_up_over_both_paths() -> None:
    """A frozen vector's part is told, though the path reads its direction alone."""
    model, batch = moved(study_of()), records(6, panels=3)
    batch["image_mask"][:] = True
    model.head.weight.data.zero_()  # what is left is the path's, and exact
    for label in range(2):
        found = integrated_gradients(model, batch, label=label, steps=4)
        torch.testing.assert_close(found.logit, model(**batch).logits[:, label])
        difference = found.logit - found.baseline_logit
        torch.testing.assert_close(found.total, difference, atol=1e-5, rtol=1e-5)
    assert found.image[:, 0].abs().min() > 0 and not found.image[:, 1:].any()
    assert found.text[batch["text_mask"]].abs().min() > 0
    whole = integrated_gradients(moved(study_of()), batch, label=0, steps=128)
    difference = whole.logit - whole.baseline_logit
    torch.testing.assert_close(whole.total, difference, atol=1e-3, rtol=1e-3)


def test_it_is_saved_read_and_started_from(tmp_path: Path) -> None:
    study, batch = study_of(), records(5, panels=3)
    model = moved(study)
    model.save_pretrained(tmp_path / "model")
    IreneProcessor(study).save_pretrained(tmp_path / "model")
    torch.testing.assert_close(
        read_model(tmp_path / "model", study)(**batch).logits, model(**batch).logits
    )
    with pytest.raises(CheckpointError, match="linear path"):
        model.to_authors()
    start = StartingPoint(irene=tmp_path / "model")
    turned = study_of(labs=STUDY["labs"][::-1])
    again, _ = start.model(turned, seed=5)
    other = {**batch, **{n: batch[n].flip(1) for n in ("lab_values", "lab_mask")}}
    torch.testing.assert_close(again.eval()(**other).logits, model(**batch).logits)
    with pytest.raises(CheckpointError, match="its linear_path is True"):
        start.model(probe_study(model=SIZES, panels=[PANEL]), seed=5)


def test_a_site_without_texts_trains_no_head_of_them() -> None:
    without = ("image", "labs", "age", "sex")
    assert not is_trained("linear.text_head.weight", without, "irene")
    assert not is_trained("linear.panel_heads.vitals_head.weight", without, "irene")
    for name in ("linear.image_head.weight", "linear.presence_head.weight", "head.weight"):
        assert is_trained(name, without, "irene")
