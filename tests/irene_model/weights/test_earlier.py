"""First weights from an earlier model's folder: matched by name, and a hostile folder refused."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from irene_model.errors import CheckpointError, ConfigError, IreneError
from irene_model.inputs.processor import IreneProcessor
from irene_model.network.config import IreneConfig
from irene_model.study.study import Study
from irene_model.weights.provenance import Judged, Provenance
from irene_model.weights.starting import StartingPoint
from irene_model.weights.vit import resize_positions
from irene_model.weights.weights import config_of, new_model, to_arrays
from server.runs.run_folder import RunFolder
from tests.helpers.hospital_folder import STUDY

WEIGHTS = "model.safetensors"


def study(**changes: Any) -> Study:
    return Study.model_validate({**STUDY, **changes})


def folder(path: Path, of: Study, seed: int = 5) -> Path:
    """An earlier model of the study `of`, none of whose weights is at its beginning."""
    model = new_model(of, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    model.save_pretrained(path)
    IreneProcessor(of).save_pretrained(path)
    return path


def started(path: Path, of: Study, seed: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
    model, origin = StartingPoint(irene=path).model(of, seed=seed)
    return to_arrays(model), origin["irene"]


def weights_of(path: Path) -> dict[str, Any]:
    return {name: tensor.numpy() for name, tensor in load_file(path / WEIGHTS).items()}


def test_the_same_study_gets_the_same_weights_whatever_the_seed(tmp_path: Path) -> None:
    earlier = folder(tmp_path / "earlier", study())
    ours, origin = started(earlier, study(), seed=77)
    for name, array in weights_of(earlier).items():
        np.testing.assert_array_equal(ours[name], array, err_msg=name)
    assert ours.keys() == weights_of(earlier).keys()
    assert origin["labels"] == ["pneumonia", "death"] and origin["new_labels"] == []
    assert origin["name"] == "earlier" and str(tmp_path) not in json.dumps(origin)


def test_labels_and_labs_are_matched_by_name_and_a_new_label_says_the_prior(
    tmp_path: Path,
) -> None:
    wide = study(labels=["asthma", "death", "pneumonia"], labs=STUDY["labs"])
    earlier = folder(tmp_path / "earlier", wide)
    ours_study = study(
        labels=["copd", "pneumonia", "death"], labs=STUDY["labs"][::-1], model={"prior": 0.2}
    )
    ours, origin = started(earlier, ours_study)
    theirs = weights_of(earlier)
    for name in ("head.weight", "head.bias"):
        np.testing.assert_array_equal(ours[name][1], theirs[name][2])
        np.testing.assert_array_equal(ours[name][2], theirs[name][1])
    assert not ours["head.weight"][0].any()
    assert ours["head.bias"][0] == pytest.approx(np.log(0.2 / 0.8))
    table = "embeddings.lab_positions.table"
    np.testing.assert_array_equal(ours[table], theirs[table][::-1])
    assert origin["new_labels"] == ["copd"] and origin["unused_labels"] == ["asthma"]


def test_positions_are_interpolated_and_colours_and_texts_fitted(tmp_path: Path) -> None:
    earlier = folder(tmp_path / "earlier", study())
    larger = study(
        image={"size": 32, "patch": 8, "channels": 3}, text={"max_tokens": 4, "width": 8}
    )
    ours, _ = started(earlier, larger)
    theirs = {name: torch.from_numpy(array) for name, array in weights_of(earlier).items()}
    positions = "embeddings.image_positions.table"
    np.testing.assert_array_equal(ours[positions], resize_positions(theirs[positions], 4).numpy())
    kernels = "embeddings.patches.weight"
    np.testing.assert_allclose(ours[kernels].sum(1), theirs[kernels][:, 0].numpy(), atol=1e-6)
    texts = "embeddings.text_positions.table"
    np.testing.assert_array_equal(ours[texts], theirs[texts][:4].numpy())


def test_adapters_begin_without_correction_over_the_earlier_weights(tmp_path: Path) -> None:
    earlier = folder(tmp_path / "plain", study())
    adapted = study(training={"expected_batch": 4, "parameters": {"kind": "lora", "rank": 2}})
    ours, _ = started(earlier, adapted)
    theirs = weights_of(earlier)
    for name, array in ours.items():
        if name in theirs:
            np.testing.assert_array_equal(array, theirs[name], err_msg=name)
        elif name.endswith(".up.weight"):
            assert not array.any()
    assert any(name.endswith("mlp.up.weight") for name in theirs)  # no adapter's, and loaded
    # And back: the corrections of an adapted model are merged into a plain one's weights.
    corrected = folder(tmp_path / "adapted", adapted)
    plain, _ = started(corrected, study())
    found = weights_of(corrected)
    (first, *_) = [name for name in found if name.endswith("query.down.weight")]
    layer = first.removesuffix(".down.weight")
    low = found[f"{layer}.up.weight"] @ found[first] * (8.0 / 2)
    np.testing.assert_allclose(plain[f"{layer}.weight"], found[f"{layer}.weight"] + low, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ["copd"]}, "knows none of the study's labels; it knows pneumonia, death"),
        ({"model": {"hidden_size": 128}}, "its hidden_size is 64, .* 'test study' is 128"),
        ({"model": {"num_attention_heads": 2}}, "its num_attention_heads is 4"),
        ({"model": {"method": "perceiver"}}, "its model.method is irene"),
        ({"image": {"size": 16, "patch": 4}}, "its patch_size is 8"),
        ({"text": {"max_tokens": 9, "width": 8}}, "positions for 6 tokens of text; lower"),
        ({"text": {"max_tokens": 6, "width": 9}}, "its text.width is 8"),
        (
            {"labs": [*STUDY["labs"], {**STUDY["labs"][0], "name": "LDH", "loinc": "2532-0"}]},
            "knows no laboratory value 'LDH'; pretrain with it",
        ),
        (
            {"labs": [{**STUDY["labs"][0], "high": 50}, STUDY["labs"][1]]},
            "'CRP' has another LOINC code, unit or reference interval",
        ),
        (
            {
                "panels": [
                    {"name": "vitals", "values": ["pulse"], "unit": "/min", "low": 5, "high": 9}
                ]
            },
            "knows no panel 'vitals'",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    earlier = folder(tmp_path / "earlier", study())
    with pytest.raises(CheckpointError, match=message):
        RunFolder.create(
            tmp_path / "run", study(**changes), seed=0, start=StartingPoint(irene=earlier)
        )
    assert not (tmp_path / "run").exists()


def _weights(change: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], object]:
    def spoil(path: Path) -> None:
        state = load_file(path / WEIGHTS)
        change(state)
        save_file(state, path / WEIGHTS)

    return spoil


def _json(file: str, **changes: Any) -> Callable[[Path], object]:
    def spoil(path: Path) -> None:
        document = json.loads((path / file).read_text()) if (path / file).exists() else {}
        (path / file).write_text(json.dumps({**document, **changes}))

    return spoil


def _panels(*panels: dict[str, Any]) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        study = yaml.safe_load((folder / "study.yaml").read_text())
        (folder / "study.yaml").write_text(yaml.safe_dump({**study, "panels": list(panels)}))

    return spoil


def _append(file: str, text: str) -> Callable[[Path], object]:
    def spoil(path: Path) -> None:
        (path / file).write_text((path / file).read_text() + text)

    return spoil


def _rank(path: Path) -> None:
    document = yaml.safe_load((path / "study.yaml").read_text())
    document["training"]["parameters"] = {"kind": "lora", "rank": 10**9}
    (path / "study.yaml").write_text(yaml.safe_dump(document))


def _sparse(path: Path) -> None:
    with (path / WEIGHTS).open("r+b") as file:
        file.truncate(2**40)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_weights(lambda s: s["head.bias"].fill_(torch.nan)), "'head.bias' holds numbers that are"),
        (_weights(lambda s: s["head.bias"].fill_(2000.0)), "'head.bias' hold a number beyond 1024"),
        (_weights(lambda s: s.update({"head.bias": torch.zeros(9)})), r"head.bias is \(9,\)"),
        (_weights(lambda s: s.update({"head.bias": torch.zeros(2).int()})), "no floating point"),
        (_weights(lambda s: s.pop("head.bias")), "has no head.bias"),
        (_weights(lambda s: s.update({"more": torch.zeros(2)})), "holds arrays that its study"),
        (lambda p: (p / WEIGHTS).write_bytes(pickle.dumps({"a": 1})), "no safetensors file"),
        (lambda p: (p / WEIGHTS).rename(p / "pytorch_model.bin"), "model.safetensors: is missing"),
        (_sparse, "has 1099511627776 bytes; at most"),
        (_json("config.json", num_attention_heads=2), "its num_attention_heads is not that"),
        (lambda p: (p / "config.json").write_text("[" * 100_000), "is not valid JSON"),
        (lambda p: (p / "config.json").write_text("[]"), "holds no JSON object"),
        (lambda p: (p / "study.yaml").unlink(), "study.yaml is missing"),
        (
            _panels(
                {"name": "vitals", "unit": "x", "low": 0, "high": 1, "values_file": "/etc/passwd"}
            ),
            "study.yaml: panels.0.*(values_file|values)",
        ),
        (
            _append("study.yaml", "\npanels: []\n"),
            "the key 'panels' stands in line",
        ),
        (
            _rank,
            "rank is 1000000000, above its hidden_size",
        ),
        (_append("study.yaml", "\nauto_map: ../evil.py\n"), "auto_map: unknown key"),
        (_json("provenance.json", kind="pretrained", name="x\nroot"), "provenance.json: "),
    ],
)
def test_a_hostile_folder_is_one_sentence(
    tmp_path: Path, spoil: Callable[[Path], object], message: str
) -> None:
    earlier = folder(tmp_path / "earlier", study())
    spoil(earlier)
    with pytest.raises(IreneError, match=message) as caught:
        StartingPoint(irene=earlier).model(study(), seed=0)
    assert "\n" not in str(caught.value) and "root:" not in str(caught.value)


def test_code_and_paths_in_config_json_are_not_looked_at(tmp_path: Path) -> None:
    earlier = folder(tmp_path / "earlier", study())
    (earlier / "evil.py").write_text("raise SystemExit(9)")
    _json("config.json", auto_map={"AutoModel": "evil.Evil"}, _name_or_path="../../etc")(earlier)
    ours, _ = started(earlier, study())
    np.testing.assert_array_equal(ours["head.bias"], weights_of(earlier)["head.bias"])


def test_a_start_brings_everything_so_nothing_else_may_be_named(tmp_path: Path) -> None:
    start = StartingPoint(irene=folder(tmp_path / "earlier", study()), text=tmp_path)
    with pytest.raises(ConfigError, match="--start brings all first weights"):
        start.model(study(), seed=0)


def test_a_run_keeps_the_starts_provenance_and_so_does_each_checkpoint(tmp_path: Path) -> None:
    earlier = folder(tmp_path / "archive-model", study())
    judged = Judged(patients=9, auroc=0.8, by_label={"pneumonia": 0.8, "death": None})
    told = Provenance(
        name="archive-model", study="test study", fingerprint=study().fingerprint, places=1,
        training_patients=40, training_records=50, epochs=3, kept_epoch=2, seed=0,
        validation=judged, test=judged,
    )  # fmt: skip
    told.write(earlier)
    run = RunFolder.create(tmp_path / "run", study(), seed=0, start=StartingPoint(irene=earlier))
    kept = json.loads((run.path / "run.json").read_text())["start"]["irene"]
    assert kept["trained"] == told.model_dump(mode="json")
    written = json.loads((run.checkpoint(0) / "provenance.json").read_text())
    assert written["start"]["irene"] == kept and written["round"] == 0
    # A run's checkpoint is a start itself, and is not taken for pretraining.
    again, origin = started(run.checkpoint(0), study())
    np.testing.assert_array_equal(again["head.bias"], weights_of(earlier)["head.bias"])
    assert origin["trained"] is None


def test_the_folders_configuration_is_what_save_pretrained_writes(tmp_path: Path) -> None:
    """What is compared is there: a field that transformers leaves out would never be refused."""
    earlier = folder(tmp_path / "earlier", study())
    document = json.loads((earlier / "config.json").read_text())
    assert document["num_attention_heads"] == config_of(study()).num_attention_heads
    assert document["model_type"] == IreneConfig.model_type
