"""A frozen image encoder: its vectors are transformers' own, and nothing comes with a folder."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoModel, CLIPVisionModel, ViTForImageClassification, ViTImageProcessor

from irene_model.errors import CheckpointError, ConfigError
from irene_model.inputs.image_encoder import sha256_of_image_encoder
from irene_model.study.shapes import ImageShape
from irene_model.study.study import Study
from tests.helpers.hospital_folder import STUDY
from tests.helpers.image_encoders import (
    KINDS,
    SIZE,
    TINY_WIDTH,
    image_of,
    open_image_encoder,
    write_tiny_image_encoder,
)

# Of `STUDY` before studies had image encoders.
FINGERPRINT = "6272fc0918a32a92d42468f60903b468685bfc637ee0f55ae92c911eea8f390c"


def film(size: int = SIZE) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(3).integers(0, 256, (size, size), dtype=np.uint8)


@torch.no_grad()
def own_tokens(folder: Path, kind: str, pixels: Any, *, resized: bool = False) -> torch.Tensor:
    """By way of transformers alone: its image processor, its model, its pooled vector."""
    processor = ViTImageProcessor.from_pretrained(folder)
    rgb = Image.fromarray(pixels).convert("RGB")
    inputs = processor(rgb, return_tensors="pt", do_resize=False)
    loader = CLIPVisionModel if kind == "clip" else AutoModel
    model = loader.from_pretrained(folder, local_files_only=True).eval()
    if kind in ("vit", "clip", "clip_vision_model"):
        inputs["interpolate_pos_encoding"] = resized
    out = model(**inputs)
    hidden = out.last_hidden_state[0]
    match kind:
        case "vit" | "dinov2":
            return hidden
        case "dinov2_with_registers":
            return torch.cat([hidden[:1], hidden[4:]])  # three register tokens
        case "convnext":
            patches = model.layernorm(hidden.permute(1, 2, 0).reshape(-1, TINY_WIDTH))
            return torch.cat([out.pooler_output, patches])
        case _:
            return torch.cat([out.pooler_output, model.post_layernorm(hidden)[1:]])


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_are_transformers_own(kind: str, tmp_path: Path) -> None:
    folder = write_tiny_image_encoder(tmp_path / kind, kind)
    vectors = open_image_encoder(folder).vectors(film())
    assert vectors.dtype == np.float16 and vectors.shape == (5, TINY_WIDTH)
    own = own_tokens(folder, kind, film())
    torch.testing.assert_close(torch.from_numpy(vectors).float(), own, rtol=2**-10, atol=1e-5)
    assert len(np.unique(vectors, axis=0)) == 5


@pytest.mark.parametrize("kind", KINDS)
def test_another_resolution_where_it_is_asked_for(kind: str, tmp_path: Path) -> None:
    folder = write_tiny_image_encoder(tmp_path / kind, kind)
    if kind != "convnext":  # which has no positions
        with pytest.raises(ConfigError, match=r"image\.size: is 32, but .* reads 16; choose"):
            open_image_encoder(folder, size=32)
    vectors = open_image_encoder(folder, size=32, interpolate=True).vectors(film(32))
    assert vectors.shape == (17, TINY_WIDTH)
    own = own_tokens(folder, kind, film(32), resized=True)
    torch.testing.assert_close(torch.from_numpy(vectors).float(), own, rtol=2**-10, atol=1e-5)


@pytest.mark.parametrize("kind", ["vit", "dinov2"])
def test_the_size_that_images_are_cut_to_is_an_encoders_own_too(kind: str, tmp_path: Path) -> None:
    folder = write_tiny_image_encoder(tmp_path / kind, kind, image_size=40)
    edit(folder, "preprocessor_config.json", do_center_crop=True, crop_size={"height": 24})
    assert open_image_encoder(folder, size=24).vectors(film(24)).shape == (10, TINY_WIDTH)
    assert open_image_encoder(folder, size=40).vectors(film(40)).shape == (26, TINY_WIDTH)
    with pytest.raises(ConfigError, match="reads 24 or 40"):
        open_image_encoder(folder, size=16)


def test_a_classifiers_head_is_left_out(tmp_path: Path) -> None:
    folder = write_tiny_image_encoder(tmp_path / "vit")
    backbone = open_image_encoder(folder).vectors(film())
    classifier = ViTForImageClassification.from_pretrained(folder, num_labels=3)
    classifier.save_pretrained(folder)
    np.testing.assert_array_equal(open_image_encoder(folder).vectors(film()), backbone)


def test_a_file_in_half_precision(tmp_path: Path) -> None:
    folder = write_tiny_image_encoder(tmp_path / "vit")
    whole = open_image_encoder(folder).vectors(film())
    weights = load_file(folder / "model.safetensors")
    save_file({name: value.half() for name, value in weights.items()}, folder / "model.safetensors")
    np.testing.assert_allclose(open_image_encoder(folder).vectors(film()), whole, atol=0.05)


# --- what is refused ------------------------------------------------------------------------------


def edit(folder: Path, name: str, **changes: Any) -> None:
    path = folder / name
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**document, **changes}), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("config.json", {"model_type": "resnet"}, "model_type is none of vit, dinov2,"),
        ("config.json", {"model_type": ["vit"]}, "model_type is none of"),
        ("config.json", {"hidden_size": 10**9}, "hidden_size: input should be less than"),
        ("config.json", {"hidden_size": 4096, "num_hidden_layers": 100}, "is too small for the"),
        ("config.json", {"num_hidden_layers": 10**6}, "num_hidden_layers: input"),
        ("config.json", {"hidden_size": "8"}, ""),
        ("config.json", {"hidden_size": 9}, "must be a multiple of num_attention_heads"),
        ("config.json", {"hidden_act": "evil"}, "hidden_act: input should be 'gelu'"),
        ("config.json", {"image_size": [16, 16]}, "image_size: input should be a valid integer"),
        ("config.json", {"patch_size": 4}, "does not fit the config.json"),
        ("config.json", {"layer_norm_eps": float("nan")}, "layer_norm_eps: "),
        ("preprocessor_config.json", {"image_std": [1.0, 0.0, 1.0]}, "a number that can't be one"),
        ("preprocessor_config.json", {"image_mean": [0.5]}, "must have 3 numbers each"),
        ("preprocessor_config.json", {"image_mean": None}, "image_mean and image_std are needed"),
        ("preprocessor_config.json", {"image_mean": [float("nan")] * 3}, "image_mean.0: "),
        ("preprocessor_config.json", {"rescale_factor": -1}, "rescale_factor: "),
    ],
)
def test_a_hostile_folder_is_one_sentence(
    name: str, changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    folder = write_tiny_image_encoder(tmp_path / "vit")
    edit(folder, name, **changes)
    if not said:
        open_image_encoder(folder)  # a number in quotes is still that number
        return
    with pytest.raises(ConfigError) as refused:
        open_image_encoder(folder)
    assert said in str(refused.value) and name.partition("_")[0] in str(refused.value)
    assert "\n" not in str(refused.value)


def test_nothing_beside_the_three_files_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_tiny_image_encoder(tmp_path / "vit")
    before = open_image_encoder(folder).vectors(film())
    monkeypatch.chdir(tmp_path)
    evil = "import pathlib; pathlib.Path('run').touch()"
    (folder / "evil.py").write_text(evil, encoding="utf-8")
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04")
    (folder / "adapter_config.json").write_text("{", encoding="utf-8")
    (folder / "model.safetensors.index.json").write_text("{", encoding="utf-8")
    edit(
        folder, "config.json", auto_map={"AutoModel": "evil.Model", "AutoConfig": "evil.Config"},
        quantization_config={"quant_method": "bitsandbytes"},
        _attn_implementation="someone/kernel", attn_implementation="someone/kernel",
        hidden_dropout_prob=0.9, torch_dtype="float16", dtype="bfloat16",
    )  # fmt: skip
    np.testing.assert_array_equal(open_image_encoder(folder).vectors(film()), before)
    assert not Path("run").exists()


def test_weights_that_are_not_all_there(tmp_path: Path) -> None:
    folder = write_tiny_image_encoder(tmp_path / "vit")
    file = folder / "model.safetensors"
    weights = load_file(file)
    name = next(name for name in weights if name.endswith("layernorm.weight"))
    save_file({n: value for n, value in weights.items() if n != name}, file)
    with pytest.raises(ConfigError, match=r"model\.safetensors: has no entry layernorm\.weight"):
        open_image_encoder(folder)
    save_file({**weights, name: torch.full_like(weights[name], torch.nan)}, file)
    with pytest.raises(ConfigError, match="holds what is no finite floating point number"):
        open_image_encoder(folder)
    save_file({**weights, name: weights[name].long()}, file)
    with pytest.raises(ConfigError, match="holds what is no finite floating point number"):
        open_image_encoder(folder)
    file.write_bytes(b"\xff" * 10_000)
    with pytest.raises(CheckpointError, match="is damaged, or no safetensors file"):
        open_image_encoder(folder)


def test_vectors_beyond_float16_are_refused(tmp_path: Path) -> None:
    folder = write_tiny_image_encoder(tmp_path / "vit")
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if name.endswith("layernorm.weight"))
    save_file({**weights, name: 1e6 * weights[name]}, folder / "model.safetensors")
    with pytest.raises(ConfigError, match=r"image\.encoder: gives vectors that are beyond float16"):
        open_image_encoder(folder).vectors(film())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"width": 16}, r"image\.width: is 16, but the vectors of the encoder 'film' are 8 wide"),
        ({"patch": 4}, r"image\.patch: is 4, but each vector of the encoder 'film' is of 8 x 8"),
    ],
)
def test_a_shape_that_is_not_the_encoders(
    changes: dict[str, int], said: str, tmp_path: Path
) -> None:
    folder = write_tiny_image_encoder(tmp_path / "vit")
    with pytest.raises(ConfigError, match=said):
        open_image_encoder(folder, **changes)


def test_files_that_are_not_the_studys(tmp_path: Path) -> None:
    folder = write_tiny_image_encoder(tmp_path / "vit")
    with pytest.raises(ConfigError, match=r"image\.encoder\.sha256: the files are not the study's"):
        open_image_encoder(folder, encoder={**image_of(folder)["encoder"], "sha256": "0" * 64})
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ConfigError, match=r"is missing.*; an image encoder is a folder with"):
        sha256_of_image_encoder(folder)


# --- the study ------------------------------------------------------------------------------------


def test_a_study_without_an_encoder_keeps_its_fingerprint() -> None:
    study = Study.model_validate(STUDY)
    assert study.model_dump()["image"] == {"size": 16, "patch": 8, "channels": 1}
    assert study.fingerprint == FINGERPRINT


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ({"width": 8}, "go together"),
        ({"encoder": {"kind": "frozen", "name": "a", "sha256": "0" * 64}}, "go together"),
        ({"width": 8, "encoder": {"kind": "frozen", "name": "../a", "sha256": "0" * 64}}, "name"),
        ({"width": 8, "encoder": {"kind": "trained", "name": "a", "sha256": "0" * 64}}, "frozen"),
        ({"width": 8, "encoder": {"kind": "frozen", "name": "a", "sha256": "0"}}, "sha256"),
    ],
)
def test_a_study_that_says_half_of_it(image: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ImageShape.model_validate({"size": 16, "patch": 8, **image})
