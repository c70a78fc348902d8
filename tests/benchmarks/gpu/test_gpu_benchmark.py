"""The command in its tiny form, its processes, and the counts that it rests on."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.gpu import engines, feeding, kinds, memory, starting
from benchmarks.gpu.__main__ import app
from benchmarks.gpu.device import peak
from benchmarks.gpu.section import Asked, Line
from benchmarks.gpu.speed import operations
from irene_model.errors import ConfigError
from irene_model.network import PRESETS, IreneConfig

CHECKOUT = Path(__file__).resolve().parents[3]
ENGINES = {"fused", "opacus", "ghost", "tensor cores", "built twice"}


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    return Asked(device="cpu", preset="tiny", seconds=0.01, most=1, folder=tmp_path)


def started(*arguments: str, timeout: float) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=CHECKOUT, capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True, timeout=timeout,
    )  # fmt: skip


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_section_that_hangs_dies_or_raises_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    done = started("tests.benchmarks.gpu.odd_sections", str(tmp_path), timeout=120)
    hung, died, raised, fresh = map(ast.literal_eval, done.stdout.splitlines())
    assert hung[1] == "was ended after 4 s"
    assert not is_running(hung[0][0])
    assert died[:2] == ([1], "its process ended with 3")
    assert "the driver said no" in died[2]
    assert raised[1] == "ValueError: one line"
    assert "in raises" in raised[2]
    assert fresh[1] == "ValueError: one line"


def test_operations_are_those_of_the_closed_form(asked: Asked) -> None:
    """The matrix products of one record, term by term."""
    config = IreneConfig(**PRESETS["tiny"], num_labels=8, vocab_size=2000, text_width=64)  # type: ignore[arg-type]
    D, inner = config.hidden_size, config.intermediate_size
    T = 1 + config.num_patches + config.num_clinical_tokens
    pixels = config.num_patches * config.num_channels * config.patch_size**2 * D
    text = config.text_length * config.text_width * D
    numbers = (config.num_labs + 2) * D
    block = T * (4 * D * D + 2 * D * inner) + 2 * D * T * T
    # A bidirectional block has as many products: every token reads both streams.
    forward = 2 * (pixels + text + numbers + config.num_hidden_layers * block + D * 8)
    # Two products on the way back for one, but where nobody asks for the input's gradient.
    both = 3 * forward - 2 * (pixels + numbers)
    assert operations(asked) == {"forward": forward, "forward+backward": both}


def test_a_device_is_known_by_its_name() -> None:
    assert peak("NVIDIA H100 80GB HBM3", "bf16") == 989.4
    assert peak("NVIDIA H100 PCIe", "bf16") == 756.0
    assert peak("NVIDIA L40S", "tf32") == 183.0
    assert peak("something new", "bf16") is None


def test_every_engine_has_its_memory_its_price_and_its_parity(asked: Asked) -> None:
    found: list[Line] = []
    for section in (memory.measure, engines.measure, engines.parity):
        found += section(asked)
    for line in found:
        assert line.value is not None, line
        if line.section == "parity":
            assert line.value < (1e-5 if "float32" in line.what else 0.02), line
    for section in ("memory", "privacy", "parity"):
        assert {line.variant for line in found if line.section == section} >= ENGINES
    whole = [line for line in found if line.what.startswith("whole step")]
    assert [line.variant for line in whole] == ["fused"]


def test_kinds_of_precision_and_attention_and_real_loading(asked: Asked) -> None:
    found = [*kinds.measure(asked), *feeding.measure(asked)]
    assert all(line.value is not None for line in found), found
    variants = {line.variant for line in found}
    assert variants >= {"float32", "float32, TF32", "own products", "flash kernel"}
    assert variants >= {"resident", "from the site's cache"}
    assert {line.what.partition(", batch")[0] for line in found if line.section == "kinds"} == {
        "precision", "attention, gaps", "attention, no gaps",
    }  # fmt: skip


@pytest.mark.slow
def test_a_trainer_is_clocked_from_message_to_step(asked: Asked) -> None:
    found = list(starting.measure(asked))
    seconds = {line.what: line.value for line in found}
    for number in (1, 2, 3):
        stepped = seconds[f"message to first step, round {number}"]
        assert stepped is not None
        assert 0 < stepped < (seconds[f"message to answer, round {number}"] or 0)


def test_the_command_prints_a_table_and_writes_json(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    arguments = ["benchmarks.gpu", "--out", str(out), "--device", "cpu", "--preset", "tiny"]
    arguments += ["--seconds", "0.01", "--most", "1", "--peak-tflops", "0.5"]
    done = started(*arguments, "--only", "device", "--only", "speed", timeout=250)
    document = json.loads(out.read_text())
    assert document["failures"] == {}
    assert "--only device" in document["settings"]["command"]
    assert document["facts"]["torch"]
    assert {(line["section"], line["variant"]) for line in document["lines"]} >= {
        ("speed", "irene"), ("speed", "transcription"),
    }  # fmt: skip
    assert "records/s" in done.stdout
    assert "× peak" in done.stdout


def test_a_mistake_is_one_sentence(tmp_path: Path) -> None:
    for options, said in (
        (["--only", "speeed"], "--only speeed: must be one of device"),
        (["--device", "gpu"], "--device gpu: must be auto"),
        (["--out", str(tmp_path / "no" / "f")], "its folder does not exist"),
    ):
        done = CliRunner().invoke(app, ["--out", str(tmp_path / "f"), *options])
        assert isinstance(done.exception, ConfigError)
        assert said in str(done.exception)
