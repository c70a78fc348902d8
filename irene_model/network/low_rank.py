"""Low-rank adapters: a frozen linear layer and a small learned correction of its weight.

Hu et al. 2022, "LoRA: low-rank adaptation of large language models", equation 3: with the frozen
W (p,d), A (r,d) and B (p,r) a token x becomes W x + α/r · B A x. B starts at zero, so the model
starts as the one that is adapted. Queries and values are adapted, as in section 5 of the paper.

The layer's own weight and bias keep their names, so plain weights fit an adapted model. A and B are
plain linear layers, which every engine of the private gradient knows.
"""

import math

import torch
from torch import Tensor, nn
from transformers import initialization as init

_ADAPTED = ("query", "value")  # ends of the names of what is adapted


class AdaptedLinear(nn.Linear):
    """A linear layer (B,…,d) to (B,…,p) and its correction of rank r = `rank`; α is `alpha`."""

    def __init__(self, in_features: int, out_features: int, *, rank: int, alpha: float) -> None:
        super().__init__(in_features, out_features)
        self.scale = alpha / rank
        self.down = nn.Linear(in_features, rank, bias=False)
        self.up = nn.Linear(rank, out_features, bias=False)
        starting_at_zero(self.up)

    def forward(self, input: Tensor) -> Tensor:
        """W x + bias + α/r · B A x."""
        correction: Tensor = self.up(self.down(input))
        return super().forward(input) + self.scale * correction

    @torch.no_grad()
    def merged_weight(self) -> Tensor:
        """W + α/r · B A, (p,d): a plain layer with it computes the same."""
        return self.weight + self.scale * (self.up.weight @ self.down.weight)


def starting_at_zero(layer: nn.Linear) -> nn.Linear:
    """The layer, marked: transformers initialises leaf by leaf, and none knows whose it is."""
    layer.starts_at_zero = True  # type: ignore[assignment]
    return layer


def init_unbiased(layer: nn.Linear) -> None:
    """First weights of a layer without a bias: zero where it is marked, else as torch's."""
    if getattr(layer, "starts_at_zero", False):
        init.zeros_(layer.weight)
    else:
        init.kaiming_uniform_(layer.weight, a=math.sqrt(5))


def adapters(model: nn.Module) -> dict[str, AdaptedLinear]:
    """The adapted layers of `model` by name."""
    return {n: m for n, m in model.named_modules() if isinstance(m, AdaptedLinear)}


def adapt(model: nn.Module, *, rank: int, alpha: float) -> None:
    """Replace every query and value projection of `model` by an adapted layer."""
    for name, layer in list(model.named_modules()):
        if isinstance(layer, nn.Linear) and name.endswith(_ADAPTED):
            parent, _, own = name.rpartition(".")
            adapted = AdaptedLinear(layer.in_features, layer.out_features, rank=rank, alpha=alpha)
            setattr(model.get_submodule(parent), own, adapted)


def merged_state(model: nn.Module) -> dict[str, Tensor]:
    """The state of the plain model that computes the same as the adapted `model`."""
    state = model.state_dict()
    for name, layer in adapters(model).items():
        state[f"{name}.weight"] = layer.merged_weight()
        del state[f"{name}.down.weight"], state[f"{name}.up.weight"]
    return state
