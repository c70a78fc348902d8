"""The model against the plain transcription of its equations that the benchmark measures."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from benchmarks.engines.transcription import transcribed_logits
from benchmarks.model import Setting, _peak_in_a_new_process, app
from tests.helpers.models.small_irene import inputs, masks, small_model


def some_gaps() -> dict[str, Tensor]:
    """Each record lacks something, one its image, one all of its clinical tokens."""
    present = masks(6)
    present["image_mask"][:] = torch.tensor([True, False, True, True, True])
    for name in ("text_mask", "lab_mask", "demographics_mask"):
        present[name][2] = False
    return present


@pytest.mark.parametrize("gaps", [False, True])
def test_both_give_the_same_logits_and_gradients(gaps: bool) -> None:
    model = small_model(hidden_size=24, num_attention_heads=3)
    batch = inputs() | (some_gaps() if gaps else {})
    gradients = []
    for logits in (model(**batch).logits, transcribed_logits(model, batch)):
        model.zero_grad()
        logits.square().sum().backward()
        gradients.append(
            {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
        )
    torch.testing.assert_close(
        transcribed_logits(model, batch), model(**batch).logits, atol=1e-5, rtol=1e-5
    )
    assert gradients[0].keys() == gradients[1].keys() == dict(model.named_parameters()).keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], atol=1e-4, rtol=1e-4, msg=name)


@pytest.mark.parametrize("gaps", [False, True])
def test_dropout_on_attention_keeps_the_mean(gaps: bool) -> None:
    """Dropout takes the path of plain products on a CPU; its mean is the fused kernel's result."""
    model = small_model()
    batch = {name: tensor[:1].expand(1500, *tensor.shape[1:]) for name, tensor in inputs().items()}
    if gaps:
        present = some_gaps()
        batch |= {name: t[3:4].expand(1500, *t.shape[1:]) for name, t in present.items()}
    attention = model.encoder.joint[0].attention
    streams = model.embeddings(**_whole(batch))
    tokens = torch.cat([streams.image, streams.clinical], dim=1)
    here = None
    if streams.image_present is not None and streams.clinical_present is not None:
        here = torch.cat([streams.image_present, streams.clinical_present], dim=1)
    with torch.no_grad():
        expected = attention(tokens[:1], None if here is None else here[:1], with_map=False)[0]
        attention.dropout.p = 0.3
        attention.train()
        dropped = attention(tokens, here, with_map=False)[0]
    error = dropped.std(dim=0) / 1500**0.5
    assert ((dropped.mean(dim=0) - expected[0]).abs() < 5 * error + 1e-6).all()
    assert (dropped[0] != dropped[1]).any()


def _whole(batch: dict[str, Tensor]) -> dict[str, Tensor | None]:
    names = ("image_mask", "text_embeddings", "text_mask", "lab_mask", "demographics_mask")
    return {**dict.fromkeys(names), **batch}


@pytest.mark.slow
def test_the_benchmark_runs_and_counts_both_variants(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    command = ["measure", "--preset", "tiny", "--batch", "2", "--repetitions", "1", "--gaps"]
    command += ["--no-memory", "--out", str(out)]  # which takes a process each
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0
    figures = json.loads(out.read_text())["figures"]
    assert [(row["work"], row["variant"]) for row in figures] == [
        ("forward", "plain"),
        ("forward", "irene"),
        ("training", "plain"),
        ("training", "irene"),
    ]
    for row in figures:
        assert row["records_per_s"] > 0 and row["cpu_s"] > 0 and 0 < row["utilisation"] < 2
    setting = Setting(preset="tiny", batch=2, bf16=False, gaps=True, attention_dropout=None)
    # A process's peak begins at that of its parent, and this one is large: there may be no more.
    assert _peak_in_a_new_process("irene", "training", setting) >= 0
