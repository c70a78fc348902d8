"""What a hostile coordinator may bring about at a layer, and weights that do so."""

import math

import torch
from torch import Tensor

from irene_model.network.model import IreneModel

Pair = tuple[Tensor, Tensor]  # a layer's inputs (B,T,d) and the gradients of its outputs (B,T,p)
KINDS_OF_PAIRS = ("random", "cancelling", "opposite", "stagnating", "constant", "sparse")


def pairs(kind: str, size: int, shape: tuple[int, int, int], g: torch.Generator) -> Pair:
    """`size` patients whose `shape` is (T, d, p), in magnitudes from 1e-20 to 1e20."""
    T, d, p = shape
    a = torch.randn(size, T, d, generator=g)
    b = torch.randn(size, T, p, generator=g)
    if kind == "cancelling":  # keys: gradients sum to 0, and the inputs' common part is chosen
        b = b - b.mean(dim=1, keepdim=True)
        a = a + 10 ** (12 * torch.rand(size, 1, 1, generator=g)) * torch.randn(
            size, 1, d, generator=g
        )
    elif kind == "opposite" and T > 1:  # two tokens that leave nothing but the last bits
        half = T // 2
        a[:, half : 2 * half] = a[:, :half] * (1 + 2.0**-23)
        b[:, half : 2 * half] = -b[:, :half]
    elif kind == "stagnating":  # after one large number, small ones are lost one by one
        share = 10 ** (-8 * torch.rand(size, 1, 1, generator=g))
        a, b = (torch.where(x == x[..., :1], 1.0, share * x.sign()) for x in (a, b))
    elif kind == "constant":
        a, b = torch.ones_like(a), torch.ones_like(b) * torch.rand(size, 1, 1, generator=g)
    elif kind == "sparse":
        a, b = (x * (torch.rand(x.shape, generator=g) < 0.2) for x in (a, b))
    scales = 10 ** (40 * torch.rand(2, size, 1, 1, generator=g) - 20)
    return a * scales[0], b * scales[1]


@torch.no_grad()
def poison(model: IreneModel, g: torch.Generator) -> None:
    """Weights in which one block's keys get gradients that cancel over its tokens.

    All other paths are closed; how large the common part of the keys' inputs, the queries' bias,
    the values and the head are is drawn over many magnitudes.
    """
    common, queries, values, head = (
        10 ** (low + (high - low) * float(torch.rand((), generator=g)))
        for low, high in ((3, 9), (3, 9), (0, 4), (-3, 3))
    )
    for blocks in (model.encoder.bidirectional, model.encoder.joint):
        for name, parameter in blocks.named_parameters():
            if any(part in name for part in ("value", "out.", "up.", "down.")):
                parameter.zero_()
    block = model.encoder.joint[-1]
    width = model.config.hidden_size
    block.attention_norm.bias.zero_()
    block.attention_norm.bias[0] = common
    for layer in (block.attention.key, block.attention.query):
        layer.weight.zero_()
        layer.bias.zero_()
    block.attention.query.bias.fill_(queries)
    block.attention.value.weight.normal_(std=values / math.sqrt(width), generator=g)
    block.attention.value.weight[:, 0] = 0
    block.attention.out.weight.copy_(torch.eye(width))
    model.head.weight.mul_(head)


@torch.no_grad()
def scramble(model: IreneModel, g: torch.Generator) -> None:
    """Every array by a magnitude of its own, some from all numbers and some from few."""
    for parameter in model.parameters():
        drawn = torch.rand(3, generator=g)
        parameter.mul_(10 ** float(8 * drawn[0] - 4))
        if drawn[1] < 0.2:
            parameter.add_(10 ** float(8 * drawn[2] - 4))
