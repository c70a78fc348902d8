"""A frozen image encoder at sites: vectors kept as long as pixels are, and what reads them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from client.check.quality import inspect
from client.look import look
from client.participant import Participant
from client.records.dataset import SiteDataset, open_dataset
from irene_model import Case, IreneProcessor
from irene_model.errors import CheckpointError, ConfigError
from irene_model.exchange.requests import EvaluateRequest, TrainRequest
from irene_model.inputs.image_encoder import FrozenImageEncoder
from irene_model.study.study import Study
from irene_model.weights.starting import StartingPoint
from irene_model.weights.weights import config_of, new_model, to_arrays
from simulations.audit.canaries import make_canaries, with_canaries
from simulations.hospitals.hospitals import write_hospitals
from simulations.run import start_run
from tests.helpers.federations.run_here import run_here
from tests.helpers.hospital_folder import SMALL, HospitalFolder
from tests.helpers.image_encoders import (
    TINY_WIDTH,
    image_of,
    open_image_encoder,
    write_tiny_image_encoder,
)
from tests.helpers.small_scenario import small_scenario

WITHOUT_IMAGE = 3  # a row of the hospital's


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    return write_tiny_image_encoder(tmp_path / "film encoder")


@pytest.fixture
def seeing(hospital: HospitalFolder, encoder: Path) -> HospitalFolder:
    """A hospital of a study with a frozen image encoder."""
    hospital.configure("image", image_of(encoder), "study.yaml")
    hospital.configure("model", SMALL, "study.yaml")
    hospital.configure("encoders", {"film": str(encoder)})
    return hospital


def dataset_of(hospital: HospitalFolder) -> SiteDataset:
    return open_dataset(hospital.site, hospital.study)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many radiographs were encoded since it was asked last."""
    calls: list[None] = []
    once = FrozenImageEncoder.vectors

    def counted(self: FrozenImageEncoder, pixels: Any) -> Any:
        calls.append(None)
        return once(self, pixels)

    def taken() -> int:
        count = len(calls)
        calls.clear()
        return count

    monkeypatch.setattr(FrozenImageEncoder, "vectors", counted)
    return taken


def test_a_site_caches_what_the_encoder_itself_gives(
    seeing: HospitalFolder, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = dataset_of(seeing)
    batch = dataset.batch(np.arange(20))
    assert "pixel_values" not in batch
    assert batch["image_embeddings"].dtype == torch.float32
    direct = open_image_encoder(encoder)
    for row, shown in enumerate(batch["image_mask"].tolist()):
        cached = batch["image_embeddings"][row]
        if shown:
            own = torch.from_numpy(direct.vectors(dataset.pixels[row])).float()
            assert torch.equal(cached, own)
        else:
            assert not cached.any()
    assert not batch["image_mask"][WITHOUT_IMAGE] and batch["image_mask"].sum() > 10

    def refuse(*_: object) -> None:
        raise AssertionError("the encoder was opened again")

    monkeypatch.setattr(FrozenImageEncoder, "__init__", refuse)
    seeing.configure("encoders", {"film": "elsewhere"})
    again = dataset_of(seeing)
    assert again.image is not None and not again.image.flags.writeable
    assert "/image-" in Path("/proc/self/maps").read_text()  # mapped, not read
    assert torch.equal(again.batch(np.arange(20))["image_embeddings"], batch["image_embeddings"])


def test_a_radiograph_is_encoded_once_whatever_becomes_of_the_tables(
    seeing: HospitalFolder, encoded: Callable[[], int], tmp_path: Path
) -> None:
    before = dataset_of(seeing)
    images = int(before.tensors["image_mask"].sum())
    assert encoded() == images
    seeing.set_cell(0, "crp", "7.5")
    assert np.array_equal(np.array(dataset_of(seeing).image), np.array(before.image))
    assert encoded() == 0
    # Another film; and the same one under a second name.
    first, second, third = (seeing.rows()[row]["file"] for row in (0, 1, 2))
    grey = np.random.default_rng(0).integers(0, 256, (40, 30), dtype=np.uint8)
    for name in (first, second):
        Image.fromarray(grey).save(seeing.folder / "images" / name)
    (seeing.folder / "images" / third).touch()
    after = dataset_of(seeing)
    assert encoded() == 1
    assert after.image is not None and np.array_equal(after.image[0], after.image[1])
    # Another encoder's vectors are no one's but its own.
    other = write_tiny_image_encoder(tmp_path / "other", num_hidden_layers=1)
    seeing.configure("image", image_of(other), "study.yaml")
    seeing.configure("encoders", {"film": str(other)})
    assert not np.array_equal(np.array(dataset_of(seeing).image), np.array(after.image))
    assert encoded() == images - 1


def test_what_a_killed_build_encoded_is_not_encoded_again(
    seeing: HospitalFolder, encoded: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = FrozenImageEncoder.vectors

    def cut_off(self: FrozenImageEncoder, pixels: Any) -> Any:
        if encoded_before[0] == 5:
            raise KeyboardInterrupt
        encoded_before[0] += 1
        return whole(self, pixels)

    encoded_before = [0]
    with monkeypatch.context() as patch:
        patch.setattr(FrozenImageEncoder, "vectors", cut_off)
        with pytest.raises(KeyboardInterrupt):
            dataset_of(seeing)
    assert encoded() == 5
    images = int(dataset_of(seeing).tensors["image_mask"].sum())
    assert encoded() == images - 5
    assert not list((seeing.folder / ".irene/cache").glob("building-*"))


def test_a_site_without_the_encoder_says_so_before_it_joins(seeing: HospitalFolder) -> None:
    seeing.configure("encoders", {"film": "elsewhere"})
    with pytest.raises(ConfigError, match=r"elsewhere/config\.json: is missing"):
        inspect(seeing.site, seeing.study)


@pytest.mark.parametrize("engine", ["fused", "opacus"])
def test_a_private_round_and_its_evaluation(seeing: HospitalFolder, engine: str) -> None:
    seeing.configure("privacy.engine", engine, "study.yaml")
    study = Study.from_canonical(seeing.study.canonical)  # as it travels
    assert study == seeing.study
    weights = to_arrays(new_model(study, seed=1))
    assert weights["embeddings.image.weight"].shape == (16, TINY_WIDTH)
    assert not [name for name in weights if "patches" in name or "class_token" in name]
    site = Participant.at(seeing.site_file)
    reply = site.train(TrainRequest.about(study, run="r", round=1, arrays=weights))
    assert (reply.outcome, reply.reason) == ("updated", "")
    assert all(np.abs(array).max() > 0 for array in reply.arrays.values())
    scored = site.evaluate(
        EvaluateRequest.about(study, run="r", round=1, split="test", arrays=weights)
    )
    assert scored.outcome == "evaluated"


@pytest.mark.parametrize("method", ["early_data", "late_mean", "perceiver", "image_only", "git"])
def test_rivals_read_the_same_vectors(seeing: HospitalFolder, method: str) -> None:
    seeing.configure("model.method", method, "study.yaml")
    dataset = dataset_of(seeing)
    model = new_model(seeing.study, seed=0).eval()
    batch = dataset.batch(np.arange(8))
    logits = model(**batch).logits
    changed = dict(batch, image_embeddings=batch["image_embeddings"] + 1)
    moved = (model(**changed).logits - logits).abs().amax(dim=1)
    assert torch.equal(moved > 1e-6, batch["image_mask"])


def test_a_site_without_images_sends_no_image_projection(seeing: HospitalFolder) -> None:
    seeing.configure("columns.image", None)
    weights = to_arrays(new_model(seeing.study, seed=1))
    reply = Participant.at(seeing.site_file).train(
        TrainRequest.about(seeing.study, run="r", round=1, arrays=weights)
    )
    assert reply.outcome == "updated"
    assert not [name for name in reply.arrays if name.startswith("embeddings.image")]


def test_a_look_at_one_record(seeing: HospitalFolder, tmp_path: Path) -> None:
    new_model(seeing.study, seed=1).save_pretrained(tmp_path / "model")
    batch = dataset_of(seeing).batch(np.array([5]))
    seen = look(seeing.site, seeing.study, tmp_path / "model", "R005", None)
    model = new_model(seeing.study, seed=1).eval()
    inputs = {name: value for name, value in batch.items() if not name.startswith("label")}
    with torch.no_grad():
        expected = model(**inputs).logits[0].sigmoid().tolist()
    assert list(seen.reading.probabilities.values()) == pytest.approx(expected, abs=1e-6)
    assert abs(seen.reading.evidence["image"]) > 1e-6


def test_the_processor_takes_the_encoder_along(seeing: HospitalFolder, tmp_path: Path) -> None:
    encoder = Path(seeing.site.encoders["film"])
    processor = IreneProcessor(seeing.study, {"film": encoder})
    case = Case(image=Image.open(seeing.folder / "images" / seeing.rows()[5]["file"]), text="cough")
    before = processor([case, Case(text="cough")])
    assert "pixel_values" not in before and not before["image_embeddings"][1].any()
    cached = dataset_of(seeing).batch(np.array([5]))["image_embeddings"]
    assert torch.equal(before["image_embeddings"][:1], cached)
    processor.save_pretrained(tmp_path / "saved")
    after = IreneProcessor.from_pretrained(tmp_path / "saved")([case])
    assert torch.equal(after["image_embeddings"], cached)


def test_canaries_join_with_vectors_of_their_own(seeing: HospitalFolder) -> None:
    dataset = dataset_of(seeing)
    canaries = make_canaries(dataset, 4, np.random.default_rng(0))
    members = with_canaries(dataset, canaries, np.array([True, False, True, True]))
    batch = members.batch(np.arange(19, 23))
    assert batch.keys() == canaries.keys()
    assert torch.equal(batch["image_embeddings"][1:], canaries["image_embeddings"][[0, 2, 3]])


def test_no_other_encoders_model_and_no_vit_start_it(
    seeing: HospitalFolder, tmp_path: Path
) -> None:
    folder = tmp_path / "earlier"
    new_model(seeing.study, seed=1).save_pretrained(folder)
    IreneProcessor(seeing.study).save_pretrained(folder)
    StartingPoint(irene=folder).model(seeing.study, seed=2)
    other = write_tiny_image_encoder(tmp_path / "other", num_hidden_layers=1)
    seeing.configure("image", image_of(other), "study.yaml")
    with pytest.raises(CheckpointError, match=r"its image\.encoder\.sha256 is"):
        StartingPoint(irene=folder).model(seeing.study, seed=2)
    with pytest.raises(ConfigError, match="--start-image: the study's radiographs are read by a"):
        StartingPoint(image=other).model(seeing.study, seed=2)


def test_the_authors_model_reads_pixels(seeing: HospitalFolder) -> None:
    assert config_of(seeing.study).image_width == TINY_WIDTH
    with pytest.raises(CheckpointError, match="image_width 8"):
        new_model(seeing.study, seed=0).to_authors()


# --- in a simulation ------------------------------------------------------------------------------


def study_of(encoder: Path, **changes: Any) -> str:
    return f"study.image={json.dumps(image_of(encoder, **changes))}"


def test_simulated_sites_need_the_encoder(encoder: Path, tmp_path: Path) -> None:
    lost = small_scenario(tmp_path, study_of(encoder), "encoders={film: nowhere}")
    with pytest.raises(ConfigError, match=r"nowhere/config\.json: is missing"):
        write_hospitals(lost, tmp_path / "out", seed=0)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_federation_sees_by_a_frozen_encoder(tmp_path: Path) -> None:
    """Register tokens, LayerScale, and positions that are fitted to another size."""
    folder = write_tiny_image_encoder(tmp_path / "encoder", "dinov2_with_registers")
    scenario = small_scenario(
        tmp_path / "scenario",
        study_of(folder, size=32, interpolate=True),
        f"encoders={{film: {folder}}}",
        "cohort.patients=40",
        "cohort.sites=[{name: north}, {name: south}]",
        "federation.rounds=2",
        "federation.round_deadline_s=300",
    )
    run = start_run(scenario, tmp_path / "run", seed=0)
    run_here(run)
    for line in run.rounds():
        outcomes = {name: site["outcome"] for name, site in line["sites"].items()}
        assert outcomes == {"north": "updated", "south": "updated"}
    kept = [path.name for path in run.path.glob("hospitals/*/.irene/cache/*/image-*.npy")]
    assert len(kept) == 4 and len(set(kept)) == 2  # vectors, and of which pixels
    first, last = run.load_checkpoint(0), run.load_checkpoint(2)
    assert not np.array_equal(first["embeddings.image.weight"], last["embeddings.image.weight"])
    assert not [name for name in last if "encoder.layer" in name]
