"""A text encoder at sites: their caches, a simulation's sites, and a private round."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import ViTConfig, ViTModel

from client.check.quality import inspect
from client.participant import Participant
from client.records.dataset import SiteDataset, open_dataset
from client.site.site import Site
from irene_model import Case, IreneModel, IreneProcessor
from irene_model.errors import ConfigError
from irene_model.exchange.requests import EvaluateRequest, TrainRequest
from irene_model.inputs.text_encoder import FrozenEncoder
from irene_model.study.settings import dump
from irene_model.study.study import Study
from irene_model.weights.starting import StartingPoint
from irene_model.weights.weights import config_of, new_model, to_arrays
from simulations import cli
from simulations.audit.canaries import make_canaries, with_canaries
from simulations.hospitals.hospitals import write_hospitals
from simulations.run import start_run
from tests.helpers.federations.run_here import run_here
from tests.helpers.hospital_folder import SMALL, TEXTS, HospitalFolder
from tests.helpers.small_scenario import small_scenario, write_scenario
from tests.helpers.text_encoders import (
    MINILM,
    TINY_WIDTH,
    WORDS,
    encoded,
    open_text,
    text_of,
    write_tiny,
)

# --- at a site ------------------------------------------------------------------------------------


def dataset_of(hospital: HospitalFolder) -> SiteDataset:
    return open_dataset(hospital.site, hospital.study)


def test_a_site_caches_the_vectors(
    with_encoder: HospitalFolder, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = dataset_of(with_encoder).batch(np.arange(20))
    assert "input_ids" not in batch
    assert batch["text_embeddings"].dtype == torch.float32
    vectors, mask = encoded(open_text(tiny), [*TEXTS, ""])
    for row in range(20):
        text = 2 if row % 5 == 4 else row % 2
        assert torch.equal(batch["text_embeddings"][row], vectors[text].float())
        assert torch.equal(batch["text_mask"][row], mask[text])

    def refuse(*_: object) -> None:
        raise AssertionError("a text was encoded again")

    monkeypatch.setattr(FrozenEncoder, "__init__", refuse)
    with_encoder.configure("encoders", {"enc": "elsewhere"})
    again = dataset_of(with_encoder)
    assert again.text is not None and not again.text.flags.writeable
    assert "/text.npy" in Path("/proc/self/maps").read_text()  # mapped, not read
    assert torch.equal(again.batch(np.arange(20))["text_embeddings"], batch["text_embeddings"])


def test_more_texts_than_are_encoded_at_once(
    with_encoder: HospitalFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = np.array(dataset_of(with_encoder).text)
    shutil.rmtree(with_encoder.folder / ".irene")
    monkeypatch.setattr("client.records.dataset._TEXTS_AT_ONCE", 3)
    np.testing.assert_array_equal(np.array(dataset_of(with_encoder).text), whole)


def test_a_site_without_the_encoder_says_so_before_it_joins(with_encoder: HospitalFolder) -> None:
    with_encoder.configure("encoders", {"enc": "elsewhere"})
    with pytest.raises(ConfigError, match=r"elsewhere/config\.json: is missing"):
        inspect(with_encoder.site, with_encoder.study)


def test_another_encoder_is_another_cache(with_encoder: HospitalFolder, tmp_path: Path) -> None:
    before = np.array(dataset_of(with_encoder).text)
    other = write_tiny(tmp_path / "other", num_hidden_layers=2)
    with_encoder.configure("text", text_of(other), "study.yaml")
    with_encoder.configure("encoders", {"enc": str(other)})
    assert not np.array_equal(np.array(dataset_of(with_encoder).text), before)


def test_canaries_join_with_vectors_of_their_own(with_encoder: HospitalFolder) -> None:
    dataset = dataset_of(with_encoder)
    canaries = make_canaries(dataset, 4, np.random.default_rng(0))
    members = with_canaries(dataset, canaries, np.array([True, False, True, True]))
    batch = members.batch(np.arange(19, 23))
    assert batch.keys() == canaries.keys()
    assert torch.equal(batch["text_embeddings"][1:], canaries["text_embeddings"][[0, 2, 3]])
    assert torch.equal(
        batch["text_embeddings"][0], dataset.batch(np.array([19]))["text_embeddings"][0]
    )


# --- in a simulation ------------------------------------------------------------------------------


def test_simulated_sites_know_where_the_encoder_is(tiny: Path, tmp_path: Path) -> None:
    study = f"study.text={json.dumps(text_of(tiny))}"
    lost = small_scenario(tmp_path, study, "encoders={enc: nowhere}")
    with pytest.raises(ConfigError, match=r"nowhere/config\.json: is missing"):
        write_hospitals(lost, tmp_path / "out", seed=0)
    assert not (tmp_path / "out").exists()
    found = small_scenario(tmp_path, study, "encoders={enc: tiny}", "cohort.patients=20")
    for path in write_hospitals(found, tmp_path / "out", seed=0):
        assert Site.read(path).encoders == {"enc": tiny.resolve()}
    assert open_dataset(Site.read(path), found.study).text is not None


def run_cli(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["irene-sim", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
    return int(left.value.code or 0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["scenario.yaml", "--start-image", "nowhere"], "nowhere: is missing"),
        (["--resume", "--start-text", "tiny"], "--resume goes on as the run began"),
    ],
)
def test_a_wrong_starting_point_is_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    write_scenario(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert run_cli(monkeypatch, "run", *arguments, "--out", "run") == 2
    assert said in capsys.readouterr().err
    assert not Path("run").exists()


@pytest.mark.slow
def test_a_federation_on_a_real_encoder_that_starts_from_a_vit(tmp_path: Path) -> None:
    """Two sites, a ViT's first weights, MiniLM's vectors; inference from the last checkpoint."""
    vit = ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        image_size=32, patch_size=8, layer_norm_eps=1e-6,
    )  # fmt: skip
    ViTModel(vit).save_pretrained(tmp_path / "vit")
    text = {**text_of(MINILM), "width": 384, "max_tokens": 24}
    scenario = small_scenario(
        tmp_path / "scenario",
        f"study.text={json.dumps(text)}",
        f"encoders={{enc: {MINILM}}}",
        "cohort.patients=40",
        "cohort.sites=[{name: north}, {name: south}]",
        "federation.rounds=2",
        "federation.round_deadline_s=300",
    )
    start = StartingPoint(image=tmp_path / "vit")
    folder = start_run(scenario, tmp_path / "run", seed=0, start=start)
    run_here(folder)
    for line in folder.rounds():
        assert {name: site["outcome"] for name, site in line["sites"].items()} == {
            "north": "updated",
            "south": "updated",
        }
    assert len(list(folder.path.glob("hospitals/*/.irene/cache/*/text.npy"))) == 2
    first, last = folder.load_checkpoint(0), folder.load_checkpoint(2)
    assert "embeddings.text_tokens.weight" not in last
    assert not np.array_equal(first["embeddings.text.weight"], last["embeddings.text.weight"])
    model = IreneModel.from_pretrained(folder.checkpoint(2)).eval()
    processor = IreneProcessor.from_pretrained(folder.checkpoint(2), encoders={"enc": MINILM})
    (row,) = processor.by_label(model(**processor([Case(text="cough and fever")])).logits)
    assert row.keys() == set(scenario.study.labels) and all(0 < p < 1 for p in row.values())


@pytest.mark.parametrize("engine", ["fused", "opacus"])
@pytest.mark.parametrize("kind", ["frozen", "tokenizer"])
def test_a_private_round_and_its_evaluation(
    hospital: HospitalFolder, tiny: Path, kind: str, engine: str
) -> None:
    hospital.configure("text", text_of(tiny, kind), "study.yaml")
    hospital.configure("encoders", {"enc": str(tiny)})
    hospital.configure("model", SMALL, "study.yaml")
    hospital.configure("privacy.engine", engine, "study.yaml")
    study = hospital.study
    weights = to_arrays(new_model(study, seed=1))
    assert ("embeddings.text_tokens.weight" in weights) == (kind == "tokenizer")
    site = Participant.at(hospital.site_file)
    reply = site.train(TrainRequest.about(study, run="r", round=1, arrays=weights))
    assert (reply.outcome, reply.reason) == ("updated", "")
    assert all(np.abs(array).max() > 0 for array in reply.arrays.values())
    scored = site.evaluate(
        EvaluateRequest.about(study, run="r", round=1, split="test", arrays=weights)
    )
    assert scored.outcome == "evaluated"


def test_the_model_has_a_table_of_vectors_only_where_none_are_given(
    hospital: HospitalFolder, tiny: Path
) -> None:
    sizes = {}
    for kind in ("frozen", "tokenizer"):
        hospital.configure("text", text_of(tiny, kind), "study.yaml")
        study = Study.from_canonical(hospital.study.canonical)  # as it travels
        assert dump(study) == dump(hospital.study)
        sizes[kind] = (config_of(study).vocab_size, config_of(study).text_width)
    assert sizes == {"frozen": (0, TINY_WIDTH), "tokenizer": (len(WORDS), TINY_WIDTH)}
