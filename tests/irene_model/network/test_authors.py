"""The authors' weights at any size, against their equations written out one record at a time.

The transcription below knows nothing of this project's code: it reads the authors' parameter names
and computes in float64 with explicit matrix products, a loop over heads and no batch.
"""

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf, softmax
from torch import Tensor

from irene_model.errors import CheckpointError
from irene_model.network.model import IreneModel

Array = npt.NDArray[np.float64]
Sizes = dict[str, int]
LAYER = "transformer.encoder.layer"
DEFAULT: Sizes = {
    "heads": 2, "head_width": 3, "layers": 3, "bidirectional": 2, "mlp": 10, "grid": 2, "patch": 3,
    "channels": 3, "text": 4, "text_width": 5, "labs": 6, "labels": 3,
}  # fmt: skip


def authors_state(sizes: Sizes, seed: int) -> dict[str, Tensor]:
    """Random weights under the authors' names, with the `out_text` that they never call."""
    g = torch.Generator().manual_seed(seed)
    s, D = sizes, sizes["heads"] * sizes["head_width"]
    state: dict[str, Tensor] = {}

    def add(name: str, *shape: int, around: float = 0.0) -> None:
        state[name] = around + 0.3 * torch.randn(shape, generator=g)

    def linear(name: str, out: int, width: int) -> None:
        add(f"{name}.weight", out, width)
        add(f"{name}.bias", out)

    def norm(name: str) -> None:
        add(f"{name}.weight", D, around=1.0)
        add(f"{name}.bias", D)

    embeddings = "transformer.embeddings"
    add(f"{embeddings}.cls_token", 1, 1, D)
    add(f"{embeddings}.patch_embeddings.weight", D, s["channels"], s["patch"], s["patch"])
    add(f"{embeddings}.patch_embeddings.bias", D)
    add(f"{embeddings}.position_embeddings", 1, 1 + s["grid"] ** 2, D)
    widths = {"cc": s["text_width"], "lab": 1, "sex": 1, "age": 1}
    counts = {"cc": s["text"], "lab": s["labs"], "sex": 1, "age": 1}
    for kind, width in widths.items():
        linear(f"{embeddings}.{kind}_embeddings", D, width)
        add(f"{embeddings}.pe_{kind}", 1, counts[kind], D)
    for layer in range(s["layers"]):
        own = ["", "_text"] if layer < s["bidirectional"] else [""]
        for suffix in own:
            for projection in ("query", "key", "value", "out"):
                linear(f"{LAYER}.{layer}.attn.{projection}{suffix}", D, D)
            linear(f"{LAYER}.{layer}.ffn{suffix}.fc1", s["mlp"], D)
            linear(f"{LAYER}.{layer}.ffn{suffix}.fc2", D, s["mlp"])
            norm(f"{LAYER}.{layer}.{'att_norm_text' if suffix else 'attention_norm'}")
            norm(f"{LAYER}.{layer}.ffn_norm{suffix}")
    norm("transformer.encoder.encoder_norm")
    linear("head", s["labels"], D)
    return state


def record(sizes: Sizes, seed: int) -> dict[str, Array]:
    """One record's inputs."""
    rng, side = np.random.default_rng(seed), sizes["grid"] * sizes["patch"]
    return {
        "image": rng.normal(size=(sizes["channels"], side, side)),
        "text": rng.normal(size=(sizes["text"], sizes["text_width"])),
        "labs": rng.normal(size=sizes["labs"]),
        "sex": rng.integers(0, 2, 1).astype(float),
        "age": rng.random(1),
    }


class Transcription:
    """The authors' forward pass of one record, from their names."""

    def __init__(self, state: dict[str, Tensor], sizes: Sizes) -> None:
        self.w = {name: tensor.double().numpy() for name, tensor in state.items()}
        self.s = sizes

    def linear(self, name: str, x: Array) -> Array:
        return np.asarray(x @ self.w[f"{name}.weight"].T + self.w[f"{name}.bias"])

    def norm(self, name: str, x: Array) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-6)
        return np.asarray(scaled * self.w[f"{name}.weight"] + self.w[f"{name}.bias"])

    def mlp(self, name: str, x: Array) -> Array:
        up = self.linear(f"{name}.fc1", x)
        return self.linear(f"{name}.fc2", up * (1 + erf(up / np.sqrt(2))) / 2)

    def attention(self, query: Array, key: Array, value: Array) -> Array:
        width, heads = self.s["head_width"], []
        for h in range(self.s["heads"]):
            own = slice(h * width, (h + 1) * width)
            scores = query[:, own] @ key[:, own].T / np.sqrt(width)
            heads.append(softmax(scores, axis=1) @ value[:, own])
        return np.concatenate(heads, axis=1)

    def embed(self, r: dict[str, Array]) -> tuple[Array, Array]:
        e, P = "transformer.embeddings", self.s["patch"]
        tokens = [self.w[f"{e}.cls_token"][0, 0]]
        for row in range(self.s["grid"]):
            for column in range(self.s["grid"]):
                patch = r["image"][:, row * P : (row + 1) * P, column * P : (column + 1) * P]
                kernels = self.w[f"{e}.patch_embeddings.weight"]
                products = [(kernel * patch).sum() for kernel in kernels]
                tokens.append(products + self.w[f"{e}.patch_embeddings.bias"])
        image = np.stack(tokens) + self.w[f"{e}.position_embeddings"][0]
        inputs = {"cc": r["text"], "lab": r["labs"], "sex": r["sex"], "age": r["age"]}
        clinical = [
            self.linear(f"{e}.{kind}_embeddings", x if x.ndim == 2 else x[:, None])
            + self.w[f"{e}.pe_{kind}"][0]
            for kind, x in inputs.items()
        ]
        return image, np.concatenate(clinical)

    def bidirectional(self, layer: str, image: Array, text: Array) -> tuple[Array, Array]:
        a = f"{layer}.attn"
        x, y = (
            self.norm(f"{layer}.attention_norm", image),
            self.norm(f"{layer}.att_norm_text", text),
        )
        qi, ki, vi = (self.linear(f"{a}.{n}", x) for n in ("query", "key", "value"))
        qt, kt, vt = (self.linear(f"{a}.{n}_text", y) for n in ("query", "key", "value"))
        mixed_image = (self.attention(qi, ki, vi) + self.attention(qi, kt, vt)) / 2
        mixed_text = (self.attention(qt, kt, vt) + self.attention(qt, ki, vi)) / 2
        image = image + self.linear(f"{a}.out", mixed_image)
        text = text + self.linear(f"{a}.out", mixed_text)
        image = image + self.mlp(f"{layer}.ffn", self.norm(f"{layer}.ffn_norm", image))
        text = text + self.mlp(f"{layer}.ffn_text", self.norm(f"{layer}.ffn_norm_text", text))
        return image, text

    def logits(self, r: dict[str, Array]) -> Array:
        image, text = self.embed(r)
        for number in range(self.s["bidirectional"]):
            image, text = self.bidirectional(f"{LAYER}.{number}", image, text)
        tokens = np.concatenate([image, text])
        for number in range(self.s["bidirectional"], self.s["layers"]):
            layer = f"{LAYER}.{number}"
            x = self.norm(f"{layer}.attention_norm", tokens)
            q, k, v = (self.linear(f"{layer}.attn.{n}", x) for n in ("query", "key", "value"))
            tokens = tokens + self.linear(f"{layer}.attn.out", self.attention(q, k, v))
            tokens = tokens + self.mlp(f"{layer}.ffn", self.norm(f"{layer}.ffn_norm", tokens))
        encoded = self.norm("transformer.encoder.encoder_norm", tokens)
        return self.linear("head", encoded.mean(axis=0))


def loaded(state: dict[str, Tensor], sizes: Sizes) -> IreneModel:
    return IreneModel.from_authors(
        state,
        image_size=sizes["grid"] * sizes["patch"],
        patch_size=sizes["patch"],
        num_attention_heads=sizes["heads"],
    )


def model_inputs(records: list[dict[str, Array]]) -> dict[str, Tensor]:
    def stacked(name: str) -> Tensor:
        return torch.from_numpy(np.stack([r[name] for r in records])).float()

    return {
        "pixel_values": stacked("image"),
        "text_embeddings": stacked("text"),
        "lab_values": stacked("labs"),
        "sex": stacked("sex").flatten(),
        "age": stacked("age").flatten(),
    }


@st.composite
def any_sizes(draw: Any) -> Sizes:
    layers = draw(st.integers(1, 4))
    ranges = {
        "heads": (1, 4), "head_width": (1, 8), "mlp": (1, 20), "grid": (1, 3), "patch": (1, 4),
        "channels": (1, 3), "text": (1, 9), "text_width": (1, 12), "labs": (1, 12),
        "labels": (1, 5),
    }  # fmt: skip
    sizes = {name: draw(st.integers(*bounds)) for name, bounds in ranges.items()}
    return {**sizes, "layers": layers, "bidirectional": draw(st.integers(0, layers))}


@settings(max_examples=25)
@given(sizes=any_sizes(), seed=st.integers(0, 10_000), parallel=st.booleans())
def test_the_authors_outputs_at_any_size(sizes: Sizes, seed: int, parallel: bool) -> None:
    state = authors_state(sizes, seed)
    prefix = "module." if parallel else ""
    model = loaded({f"{prefix}{name}": tensor for name, tensor in state.items()}, sizes)
    records = [record(sizes, seed + n) for n in range(2)]
    with torch.no_grad():
        actual = model(**model_inputs(records)).logits
    expected = np.stack([Transcription(state, sizes).logits(r) for r in records])
    np.testing.assert_allclose(actual.numpy(), expected, atol=1e-5, rtol=1e-5)

    never_called = {name for name in state if "out_text" in name}
    assert set(model.ignored_entries) == never_called
    assert len(never_called) == 2 * sizes["bidirectional"]
    back = model.to_authors()
    assert back.keys() == state.keys() - never_called
    assert all(torch.equal(back[name], state[name]) for name in back)


@pytest.mark.parametrize("change", ["missing", "shape", "axes"])
def test_every_entry_is_checked(change: str) -> None:
    state = authors_state(DEFAULT, 0)
    needed = [name for name in state if "out_text" not in name]
    assert len(needed) == 20 + 2 * 30 + 16
    if change == "shape":  # any width of text embedding is as good as another
        needed.remove("transformer.embeddings.cc_embeddings.weight")
    for name in needed:
        spoilt = dict(state)
        if change == "missing":
            del spoilt[name]
        elif change == "shape":
            spoilt[name] = torch.cat([state[name], state[name]], dim=-1)
        else:
            spoilt[name] = state[name][None]
        with pytest.raises(CheckpointError) as caught:
            loaded(spoilt, DEFAULT)
        # A size that others follow from may be blamed on one of them.
        assert re.search(r"transformer\.|head\.", str(caught.value))


def test_an_entry_with_and_without_prefix_is_refused() -> None:
    state = authors_state(DEFAULT, 0)
    with pytest.raises(CheckpointError, match=r"head\.bias is there twice"):
        loaded({**state, "module.head.bias": state["head.bias"]}, DEFAULT)


def test_a_fresh_model_ignored_nothing() -> None:
    state = authors_state({**DEFAULT, "bidirectional": 0}, 0)
    assert loaded(state, DEFAULT).ignored_entries == ()
