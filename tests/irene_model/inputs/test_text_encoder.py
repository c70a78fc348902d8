"""Text by a BERT-family encoder: a real one and tiny ones, at a site and through a round."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertForMaskedLM, ViTConfig, ViTModel

from client.check.quality import inspect
from client.participant import Participant
from client.records.dataset import SiteDataset, open_dataset
from client.site.site import Site
from irene_model import Case, IreneModel, IreneProcessor
from irene_model.errors import ConfigError
from irene_model.exchange.requests import EvaluateRequest, TrainRequest
from irene_model.inputs.text import TextReader
from irene_model.inputs.text_encoder import FrozenEncoder, find_folder, sha256_of
from irene_model.study.settings import dump
from irene_model.study.shapes import TextShape
from irene_model.study.study import Study
from irene_model.weights.starting import StartingPoint
from irene_model.weights.weights import config_of, new_model, to_arrays
from simulations import cli
from simulations.audit.canaries import make_canaries, with_canaries
from simulations.hospitals.hospitals import write_hospitals
from simulations.run import simulate, start_run
from tests.helpers.hospital_folder import SMALL, HospitalFolder
from tests.helpers.small_scenario import small_scenario, write_scenario
from tests.helpers.text_encoders import (
    MINILM,
    TINY_WIDTH,
    WORDS,
    own_vectors,
    shape_of,
    text_of,
    write_tiny,
)

TEXTS = [
    "Productive cough for three days, fever up to 39.4; no known allergies.",
    "dyspnoea",
    None,
    "  ",
    "Fall from a ladder. " * 30,
    "dyspnoea",
]
HALF = {"atol": 1e-3, "rtol": 1e-3}  # float16 keeps eleven bits


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "tiny")


@pytest.fixture
def with_encoder(hospital: HospitalFolder, tiny: Path) -> HospitalFolder:
    """A hospital of a study with a frozen encoder."""
    hospital.configure("text", text_of(tiny), "study.yaml")
    hospital.configure("encoders", {"enc": str(tiny)})
    return hospital


def open_text(folder: Path, kind: str = "frozen", **changes: Any) -> TextReader:
    return TextReader.open(shape_of(folder, kind, **changes), {"enc": folder})


def encoded(reader: TextReader, texts: list[str | None]) -> tuple[torch.Tensor, torch.Tensor]:
    assert reader.encoder is not None
    ids, mask = reader.tokens(texts)
    return reader.encoder.vectors(ids, mask), mask


# --- the real encoder ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def minilm() -> TextReader:
    return open_text(MINILM, width=384, max_tokens=20)


def test_vectors_are_the_encoders_own_of_each_single_text(minilm: TextReader) -> None:
    vectors, mask = encoded(minilm, TEXTS)
    assert vectors.shape == (6, 20, 384) and vectors.dtype == torch.float16
    assert mask.sum(dim=1).tolist()[1:4] == [7, 0, 0]
    assert mask[4].all()  # cut, and still closed
    assert minilm.tokens(TEXTS)[0][4, -1] == 102  # [SEP]
    rows = (0, 1, 4)
    expected = own_vectors(MINILM, [TEXTS[row] or "" for row in rows], 20)
    for row, own in zip(rows, expected, strict=True):
        torch.testing.assert_close(vectors[row, mask[row]].float(), own, **HALF)
    assert not vectors[~mask].any()


def test_padding_and_neighbours_change_nothing(minilm: TextReader) -> None:
    vectors, mask = encoded(minilm, TEXTS)
    for row, text in enumerate(TEXTS):
        alone, _ = encoded(minilm, [text])
        assert torch.equal(alone[0], vectors[row])
    longer = TextReader(
        shape=minilm.shape.model_copy(update={"max_tokens": 33}),
        tokenizer=minilm.tokenizer,
        encoder=minilm.encoder,
    )
    wide, wide_mask = encoded(longer, TEXTS)
    assert torch.equal(wide[:, :20], vectors) and not wide_mask[:, 20:].any()
    # The encoder itself, on all texts at once, padded, with its own attention mask.
    ids, _ = minilm.tokens(TEXTS)
    rows = [0, 1, 4]
    with torch.no_grad():
        together = minilm.encoder._model(  # type: ignore[union-attr]
            input_ids=ids[rows], attention_mask=mask[rows].long()
        ).last_hidden_state
    torch.testing.assert_close(together[mask[rows]], vectors[rows][mask[rows]].float(), **HALF)


def test_equal_texts_are_encoded_once(minilm: TextReader, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    one = FrozenEncoder._one
    monkeypatch.setattr(
        FrozenEncoder, "_one", lambda self, ids: (calls.append(len(ids)), one(self, ids))[1]
    )
    encoded(minilm, TEXTS)
    assert len(calls) == 3


# --- what a study may say, and files that are not it ----------------------------------------------


def test_a_study_says_what_reads_its_texts(tiny: Path) -> None:
    short = TextShape.model_validate({"encoder": "wordpiece"})
    assert short == TextShape() and short.encoder.kind == "wordpiece"
    frozen = shape_of(tiny)
    assert TextShape.model_validate(frozen.model_dump(mode="json")) == frozen


@pytest.mark.parametrize(
    ("encoder", "said"),
    [
        ({"kind": "frozen"}, "kind 'frozen' needs name, sha256"),
        ({"kind": "tokenizer", "name": "a", "sha256": "0" * 64}, "'tokenizer' needs vocab_size"),
        ({"kind": "wordpiece", "name": "a"}, "kind 'wordpiece' has no name"),
        ({"kind": "frozen", "name": "../a", "sha256": "0" * 64}, "name"),
        ({"kind": "frozen", "name": "a", "sha256": "abc"}, "sha256"),
        ("bert", "kind"),
    ],
)
def test_half_an_encoder_is_refused(hospital: HospitalFolder, encoder: Any, said: str) -> None:
    hospital.configure("text.encoder", encoder, "study.yaml")
    with pytest.raises(ConfigError, match=said) as caught:
        _ = hospital.study
    assert "text.encoder" in str(caught.value)


def test_the_sha256_is_that_of_the_files_one_after_the_other(tiny: Path, tmp_path: Path) -> None:
    import hashlib

    names = ("config.json", "model.safetensors", "tokenizer.json")
    joined = b"".join((tiny / name).read_bytes() for name in names)
    assert sha256_of(tiny, "frozen") == hashlib.sha256(joined).hexdigest()
    tokenizer = (tiny / "tokenizer.json").read_bytes()
    assert sha256_of(tiny, "tokenizer") == hashlib.sha256(tokenizer).hexdigest()


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_another_file_than_the_studys_is_refused(tiny: Path, name: str) -> None:
    shape = shape_of(tiny)
    content = bytearray((tiny / name).read_bytes())
    content[-2] ^= 1
    (tiny / name).write_bytes(content)
    with pytest.raises(ConfigError, match=r"text\.encoder\.sha256: the files are not the study's"):
        TextReader.open(shape, {"enc": tiny})
    (tiny / name).unlink()
    said = rf"{name}: is missing or .*; a text encoder of the kind 'frozen' is a folder with config"
    with pytest.raises(ConfigError, match=said):
        TextReader.open(shape, {"enc": tiny})


def test_the_hubs_cache_is_read_and_never_filled(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []
    monkeypatch.setattr("socket.getaddrinfo", lambda *name, **_: calls.append(name))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    encoder = shape_of(tiny).encoder.model_copy(update={"name": "someone/tiny"})
    with pytest.raises(ConfigError, match=r"'someone/tiny' is neither in `encoders` of site\.yaml"):
        find_folder(encoder, {"enc": tiny})
    commit = "0123456789012345678901234567890123456789"
    downloaded = tmp_path / "hub" / "models--someone--tiny"
    (downloaded / "refs").mkdir(parents=True)
    (downloaded / "refs" / "main").write_text(commit)
    shutil.copytree(tiny, downloaded / "snapshots" / commit)
    assert find_folder(encoder, {}) == downloaded / "snapshots" / commit
    assert not calls


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"width": 9}, "text.width: is 9, but the vectors of the encoder 'enc' are 8 wide"),
        ({"max_tokens": 33}, "text.max_tokens: is 33; the encoder 'enc' reads at most 32"),
        ({"max_tokens": 2}, "text.max_tokens: must be above 2"),
    ],
)
def test_a_shape_that_is_not_the_encoders_is_refused(
    tiny: Path, changes: dict[str, int], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        open_text(tiny, **changes)


def test_what_is_no_whole_encoder_is_refused(tiny: Path, tmp_path: Path) -> None:
    weights = load_file(tiny / "model.safetensors")
    lost = "encoder.layer.0.output.dense.weight"
    save_file(
        {name: tensor for name, tensor in weights.items() if name != lost},
        tiny / "model.safetensors",
        metadata={"format": "pt"},
    )
    with pytest.raises(ConfigError, match=rf"has no entry {lost}"):
        open_text(tiny)
    config = json.loads((tiny / "config.json").read_text())
    (tiny / "config.json").write_text(json.dumps({**config, "model_type": "gpt2"}))
    with pytest.raises(ConfigError, match="model_type is none of bert, "):
        open_text(tiny)
    (tiny / "tokenizer.json").write_text("{}")
    with pytest.raises(ConfigError, match="is no tokenizer"):
        open_text(tiny)


def test_a_model_with_another_head_is_an_encoder_too(tmp_path: Path) -> None:
    folder = write_tiny(tmp_path / "mlm", kind=BertForMaskedLM)
    vectors, mask = encoded(open_text(folder), ["cough and fever"])
    (own,) = own_vectors(folder, ["cough and fever"], 6)
    torch.testing.assert_close(vectors[0, mask[0]].float(), own, **HALF)


def test_a_table_smaller_than_the_tokenizer_is_refused(tiny: Path) -> None:
    text = text_of(tiny, "tokenizer")
    text["encoder"]["vocab_size"] = len(WORDS) - 1
    with pytest.raises(ConfigError, match=r"vocab_size: is 10; the tokenizer has 11"):
        TextReader.open(TextShape.model_validate(text), {"enc": tiny})


# --- at a site ------------------------------------------------------------------------------------


def dataset_of(hospital: HospitalFolder) -> SiteDataset:
    return open_dataset(hospital.site, hospital.study)


def test_a_site_caches_the_vectors(
    with_encoder: HospitalFolder, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = dataset_of(with_encoder).batch(np.arange(20))
    assert "input_ids" not in batch
    assert batch["text_embeddings"].dtype == torch.float32
    vectors, mask = encoded(open_text(tiny), ["cough, and\nfever", ""])
    for row in range(20):
        missing = int(row % 5 == 4)
        assert torch.equal(batch["text_embeddings"][row], vectors[missing].float())
        assert torch.equal(batch["text_mask"][row], mask[missing])

    def refuse(*_: object) -> None:
        raise AssertionError("a text was encoded again")

    monkeypatch.setattr(FrozenEncoder, "__init__", refuse)
    with_encoder.configure("encoders", {"enc": "elsewhere"})
    again = dataset_of(with_encoder)
    assert isinstance(again.text, np.memmap)
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
    simulate(folder)
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
