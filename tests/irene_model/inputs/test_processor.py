"""One folder is all that inference needs, and it gives training's own tensors."""

import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from client.images.files import load_image
from client.records.dataset import open_dataset
from client.records.tables import read_records
from irene_model import Case, IreneModel, IreneProcessor, Study
from irene_model.errors import CheckpointError, ConfigError, DataError
from server.runs.run_folder import RunFolder
from tests.helpers.hospital_folder import SMALL, HospitalFolder
from tests.helpers.infer_cases import infer
from tests.helpers.text_encoders import text_of, write_tiny


@pytest.fixture
def study(hospital: HospitalFolder) -> Study:
    hospital.configure("model", SMALL, "study.yaml")
    return hospital.study


def cases_of(hospital: HospitalFolder) -> list[dict[str, Any]]:
    return [
        {
            "image": None if record.image_path is None else str(record.image_path),
            "text": record.text,
            "labs": dict(record.labs),
            "age_years": record.age_years,
            "sex": record.sex,
        }
        for record in read_records(hospital.site, hospital.study)
    ]


def assert_is_the_pipeline(hospital: HospitalFolder, folder: Path, *, anew: bool) -> None:
    """Inference from `folder`, in a process of its own if `anew`, has the data set's tensors."""
    cases, out = hospital.folder / "cases.json", hospital.folder / "out.safetensors"
    cases.write_text(json.dumps(cases_of(hospital)))
    arguments = [str(folder), str(cases), str(out)]
    if anew:
        done = subprocess.run(
            [sys.executable, "-m", "tests.helpers.infer_cases", *arguments],
            capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3],
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        probabilities = json.loads(done.stdout)
    else:
        probabilities = infer(*arguments)
    tensors = load_file(out)
    logits = tensors.pop("logits")
    expected = open_dataset(hospital.site, hospital.study).batch(np.arange(20))
    del expected["labels"], expected["label_mask"]
    assert tensors.keys() == expected.keys()
    for name, tensor in expected.items():
        assert tensors[name].dtype == tensor.dtype, name
        assert torch.equal(tensors[name], tensor), name
    model = IreneModel.from_pretrained(folder).eval()
    with torch.no_grad():
        torch.testing.assert_close(logits, model(**expected).logits)
    assert [list(row) for row in probabilities] == [list(hospital.study.labels)] * 20
    found = torch.tensor([list(row.values()) for row in probabilities])
    torch.testing.assert_close(found, logits.sigmoid())


def test_a_runs_checkpoint_gives_trainings_tensors(
    hospital: HospitalFolder, study: Study, tmp_path: Path
) -> None:
    run = RunFolder.create(tmp_path / "run", study, seed=0)
    run.save_checkpoint(3, run.load_checkpoint(0))
    assert_is_the_pipeline(hospital, run.checkpoint(3), anew=True)


@pytest.mark.parametrize("kind", ["frozen", "tokenizer"])
def test_an_exported_folder_carries_the_text_encoder(
    hospital: HospitalFolder, study: Study, tmp_path: Path, kind: str
) -> None:
    tiny = write_tiny(tmp_path / "tiny")
    hospital.configure("text", text_of(tiny, kind), "study.yaml")
    hospital.configure("encoders", {"enc": str(tiny)})
    run = RunFolder.create(tmp_path / "run", hospital.study, seed=0)
    # The server has no encoder, so its checkpoint has none; it is asked for by name.
    with pytest.raises(ConfigError, match="'enc' is neither in"):
        IreneProcessor.from_pretrained(run.checkpoint(0))
    processor = IreneProcessor.from_pretrained(run.checkpoint(0), encoders={"enc": tiny})
    exported = tmp_path / "exported"
    IreneModel.from_pretrained(run.checkpoint(0)).save_pretrained(exported)
    processor.save_pretrained(exported)
    tiny.rename(tmp_path / "gone")
    hospital.configure("encoders", {"enc": str(tmp_path / "gone")})
    assert_is_the_pipeline(hospital, exported, anew=False)
    # Saving into its own folder changes nothing.
    before = {path.name: path.read_bytes() for path in (exported / "encoder").iterdir()}
    assert len(before) == {"frozen": 3, "tokenizer": 1}[kind]
    IreneProcessor.from_pretrained(exported).save_pretrained(exported)
    assert {path.name: path.read_bytes() for path in (exported / "encoder").iterdir()} == before


def test_saved_and_loaded_is_the_same(study: Study, tmp_path: Path) -> None:
    IreneProcessor(study).save_pretrained(tmp_path / "a")
    assert IreneProcessor.from_pretrained(tmp_path / "a").study == study
    with pytest.raises(CheckpointError, match=r"study\.yaml is missing"):
        IreneProcessor.from_pretrained(tmp_path)


def deep(pixels: np.ndarray) -> Image.Image:  # type: ignore[type-arg]
    return Image.fromarray(pixels.astype(np.uint16) * 200)


@pytest.mark.parametrize(
    "form",
    [
        Image.open,
        lambda path: Image.open(path).convert("RGB"),
        lambda path: np.asarray(Image.open(path)),
        lambda path: np.asarray(Image.open(path).convert("RGB")),
    ],
    ids=["pillow", "colour", "array", "colour array"],
)
def test_an_image_in_any_form_is_that_of_training(
    hospital: HospitalFolder, study: Study, form: Callable[[Path], Any]
) -> None:
    path = hospital.folder / "images" / "5.png"
    batch = IreneProcessor(study)([Case(image=form(path))])
    expected = torch.from_numpy(load_image(path, 16)).float() / 127.5 - 1
    torch.testing.assert_close(batch["pixel_values"][0, 0], expected)
    assert batch["image_mask"].tolist() == [True]


def test_a_finished_square_is_taken_as_it_is(
    hospital: HospitalFolder, study: Study, tmp_path: Path
) -> None:
    pixels = load_image(hospital.folder / "images" / "5.png", 16)
    batch = IreneProcessor(study)([Case(pixels=pixels), Case()])
    expected = torch.from_numpy(pixels).float() / 127.5 - 1
    torch.testing.assert_close(batch["pixel_values"][0, 0], expected)
    assert batch["image_mask"].tolist() == [True, False]
    for wrong in (pixels[:8], pixels.astype(np.float32)):
        with pytest.raises(DataError, match=r"case 0: pixels: expected \(16, 16\) of uint8"):
            IreneProcessor(study)([Case(pixels=wrong)])


@pytest.mark.parametrize("form", [deep, lambda p: p.astype(np.uint16) * 200, lambda p: p / 7.0])
def test_deep_levels_are_windowed(study: Study, tmp_path: Path, form: Callable[..., Any]) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (20, 24))
    deep(pixels).save(tmp_path / "deep.png")
    expected = torch.from_numpy(load_image(tmp_path / "deep.png", 16)).float() / 127.5 - 1
    actual = IreneProcessor(study)([Case(image=form(pixels))])["pixel_values"][0, 0]
    torch.testing.assert_close(actual, expected, atol=1.01 / 127.5, rtol=0)  # float32 may round


def test_nothing_known_is_all_masked(study: Study) -> None:
    batch = IreneProcessor(study)([Case(), Case(text=" ")])
    for name in ("image_mask", "text_mask", "lab_mask", "demographics_mask"):
        assert not batch[name].any(), name


GOOD = Case(text="cough", labs={"CRP": 3.0}, age_years=60, sex="male")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labs": {"crp": 4711.0}}, "labs: the study has no 'crp'; it has CRP, lymphocytes"),
        ({"labs": {"CRP": math.nan}}, r"labs\.CRP: is NaN"),
        ({"labs": {"CRP": "4711"}}, r"labs\.CRP: expected a number, not str"),
        ({"labs": {"CRP": True}}, r"labs\.CRP: expected a number, not bool"),
        ({"age_years": 4711}, "age_years: is outside 0 to 120"),
        ({"age_years": math.nan}, "age_years: is NaN"),
        ({"sex": "4711"}, "sex: expected female or male"),
        ({"text": 4711}, "text: expected text, not int"),
        ({"image": np.zeros((3, 4, 5, 6))}, "image: expected finite grey levels"),
        ({"image": np.full((4, 4), np.nan)}, "image: expected finite grey levels"),
        ({"image": np.zeros((0, 4))}, "image: expected finite grey levels"),
        ({"image": "a.png"}, "image: expected finite grey levels"),
    ],
)
def test_an_impossible_case_is_named_and_never_quoted(
    study: Study, changes: dict[str, Any], said: str
) -> None:
    processor = IreneProcessor(study)
    with pytest.raises(DataError, match=f"case 1: {said}") as caught:
        processor([GOOD, replace(GOOD, **changes)])
    assert "4711" not in str(caught.value)
    assert "cough" not in repr(GOOD) and "60" not in repr(GOOD)


def test_censored_values_are_observations(study: Study) -> None:
    batch = IreneProcessor(study)([Case(labs={"CRP": math.inf, "lymphocytes": -math.inf})])
    assert batch["lab_mask"].tolist() == [[True, True]]
    assert torch.isfinite(batch["lab_values"]).all()
