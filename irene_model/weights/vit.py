"""A Vision Transformer's weights from disk, whichever of the two usual layouts they are in.

Read are a folder of `transformers` (`config.json` and `model.safetensors` of a ViTModel or of a
model with a head on one) and the `.npz` files that Google released with the paper (Dosovitskiy et
al. 2021, "An image is worth 16x16 words"). Both come out under the names that transformers writes
to disk. Nothing is unpickled and nothing is fetched.
"""

import math
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from irene_model.errors import CheckpointError
from irene_model.inputs import read_json, read_tensors

PATCHES = "embeddings.patch_embeddings.projection"
_LAYER = re.compile(r"encoder\.layer\.(\d+)\.")
# What transformers 5 calls its parameters in memory, and what it writes to disk as before.
_IN_MEMORY = {
    ".attention.q_proj.": ".attention.attention.query.",
    ".attention.k_proj.": ".attention.attention.key.",
    ".attention.v_proj.": ".attention.attention.value.",
    ".attention.o_proj.": ".attention.output.dense.",
    ".mlp.fc1.": ".intermediate.dense.",
    ".mlp.fc2.": ".output.dense.",
}
# Google's names to transformers'.
_GOOGLE = {
    "embedding": PATCHES,
    "Transformer/encoder_norm": "layernorm",
    "cls": "embeddings.cls_token",
    "Transformer/posembed_input/pos_embedding": "embeddings.position_embeddings",
}
_GOOGLE_LAYER = {
    "LayerNorm_0": "layernorm_before",
    "LayerNorm_2": "layernorm_after",
    "MultiHeadDotProductAttention_1/query": "attention.attention.query",
    "MultiHeadDotProductAttention_1/key": "attention.attention.key",
    "MultiHeadDotProductAttention_1/value": "attention.attention.value",
    "MultiHeadDotProductAttention_1/out": "attention.output.dense",
    "MlpBlock_3/Dense_0": "intermediate.dense",
    "MlpBlock_3/Dense_1": "output.dense",
}
_GOOGLE_EPS = 1e-6  # Flax's default, which the original code leaves as it is
_GOOGLE_QUERY = "Transformer/encoderblock_0/MultiHeadDotProductAttention_1/query/kernel"


@dataclass(frozen=True, kw_only=True)
class Vit:
    """Weights by the names that transformers writes, for pixels in [-1, 1].

    place: what an error calls it. file: the file that holds the weights. layer_norm_eps: what its
    norms add to a variance; Google's add 1e-6, files of transformers mostly 1e-12.
    """

    place: Path
    file: Path
    weights: Mapping[str, Tensor]
    num_heads: int
    layer_norm_eps: float

    @property
    def num_layers(self) -> int:
        """Blocks, by the highest number of one."""
        return 1 + max(
            (int(m[1]) for name in self.weights if (m := _LAYER.match(name))), default=-1
        )


def read_vit(path: Path) -> Vit:
    """The ViT at `path`, a folder of transformers or an .npz file; else a CheckpointError."""
    if path.is_dir():
        return _read_folder(path)
    if path.suffix == ".npz":
        return _read_npz(path)
    problem = "expected a folder of transformers or an .npz file" if path.exists() else "is missing"
    raise CheckpointError(f"{path}: {problem}")


def _read_folder(folder: Path) -> Vit:
    config = read_json(folder / "config.json")
    if config.get("model_type") != "vit":
        raise CheckpointError(f"{folder / 'config.json'}: model_type is not 'vit'")
    if config.get("hidden_act", "gelu") != "gelu":
        raise CheckpointError(f"{folder / 'config.json'}: hidden_act is not 'gelu', as IRENE's is")
    heads = config.get("num_attention_heads")
    if not isinstance(heads, int):
        raise CheckpointError(f"{folder / 'config.json'}: num_attention_heads is no whole number")
    file = folder / "model.safetensors"
    weights = {_on_disk(name): tensor for name, tensor in read_tensors(file).items()}
    return Vit(
        place=folder,
        file=file,
        weights=_for_our_pixels(weights, folder),
        num_heads=heads,
        layer_norm_eps=config.get("layer_norm_eps", 1e-12),  # transformers' default
    )


def _on_disk(name: str) -> str:
    """A parameter's name without the head's prefix, and as transformers writes it."""
    name = name.removeprefix("vit.")
    if name.startswith("layers."):
        name = f"encoder.layer.{name.removeprefix('layers.')}"
        for ours, written in _IN_MEMORY.items():
            name = name.replace(ours, written)
    return name


def _for_our_pixels(weights: dict[str, Tensor], folder: Path) -> dict[str, Tensor]:
    """The patch projection for pixels x in [-1, 1].

    The folder's own processor gives z = ((x + 1) / 2 - mean) / std, channel by channel. A
    projection has no padding, so scale and shift go into its weight and bias exactly. Where there
    is no such file, and with Google's 0.5 for both, z is x.
    """
    file = folder / "preprocessor_config.json"
    settings = read_json(file) if file.exists() else {}
    kernels, bias = weights.get(f"{PATCHES}.weight"), weights.get(f"{PATCHES}.bias")
    if not settings.get("do_normalize") or kernels is None or bias is None:
        return weights
    try:
        mean = torch.tensor(settings["image_mean"], dtype=kernels.dtype)[:, None, None]
        std = torch.tensor(settings["image_std"], dtype=kernels.dtype)[:, None, None]
        shift = (kernels * ((0.5 - mean) / std)).sum(dim=(1, 2, 3))
        return weights | {
            f"{PATCHES}.weight": kernels * (0.5 / std),
            f"{PATCHES}.bias": bias + shift,
        }
    except (KeyError, TypeError, ValueError, RuntimeError):
        raise CheckpointError(
            f"{file}: image_mean and image_std don't fit the model's channels"
        ) from None


def _read_npz(file: Path) -> Vit:
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = {name: np.asarray(archive[name]) for name in archive.files}
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile):
        raise CheckpointError(f"{file}: is damaged, or no .npz archive of numbers") from None
    query = tensors.get(_GOOGLE_QUERY)
    if query is None or query.ndim != 3:
        raise CheckpointError(f"{file}: is no ViT of Google's: it has no {_GOOGLE_QUERY} (D,H,D/H)")
    weights = dict(_from_google(name, tensor) for name, tensor in tensors.items())
    return Vit(
        place=file,
        file=file,
        weights=weights,
        num_heads=query.shape[1],
        layer_norm_eps=_GOOGLE_EPS,
    )


def _from_google(name: str, tensor: Tensor) -> tuple[str, Tensor]:
    """transformers' name and shape of one entry; what it has no name for stays as it is."""
    if name in _GOOGLE:
        return _GOOGLE[name], tensor
    module, _, leaf = name.rpartition("/")
    ours = _GOOGLE.get(module)
    if match := re.fullmatch(r"Transformer/encoderblock_(\d+)/(.+)", module):
        known = _GOOGLE_LAYER.get(match[2])
        ours = known and f"encoder.layer.{match[1]}.{known}"
    if ours is None or leaf not in ("kernel", "scale", "bias"):
        return name, tensor
    if leaf != "kernel":
        return f"{ours}.{'weight' if leaf == 'scale' else 'bias'}", tensor.flatten()
    if tensor.ndim == 4:  # a convolution: (H, W, in, out)
        tensor = tensor.permute(3, 2, 0, 1)
    elif module.endswith("/out"):  # (H, D/H, D): from all heads
        tensor = tensor.flatten(0, -2).T
    else:  # (in, out), or (D, H, D/H): to all heads
        tensor = tensor.flatten(1).T
    return f"{ours}.weight", tensor.contiguous()


def for_channels(kernels: Tensor, channels: int) -> Tensor:
    """Kernels (D,C,P,P) for another number of channels that all hold the same grey image.

    What a kernel gives for a grey image in all C channels is its *sum* over them with that image:
    so the sum is shared out, and the output stays what it was. (Their mean would be a third of it.)
    """
    if kernels.ndim != 4 or kernels.shape[1] == channels:
        return kernels
    summed = kernels.sum(dim=1, keepdim=True)
    return (summed / channels).expand(-1, channels, -1, -1)


def resize_positions(table: Tensor, side: int) -> Tensor:
    """Positions (1+n², D), the class token's first, for a grid of `side`²: bicubic interpolation.

    As in section 3.2 of Dosovitskiy et al. 2021, and as `transformers` does it. A table whose
    length is no 1+n² is returned as it is.
    """
    old = math.isqrt(len(table) - 1)
    if old == side or 1 + old**2 != len(table):
        return table
    grid = table[1:].T.reshape(1, -1, old, old)
    resized = F.interpolate(grid, size=(side, side), mode="bicubic", align_corners=False)
    return torch.cat([table[:1], resized.flatten(2)[0].T])
