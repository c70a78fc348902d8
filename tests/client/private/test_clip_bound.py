"""Whatever weights arrive, no patient adds more than C: a search for those that would.

What a patient adds is measured in float64, from what the engine's own sums hold: the patient alone,
and the sums with the patient less the sums without.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import benchmarks.engines.unguarded
from benchmarks.engines.unguarded import UnguardedSum, _Factors
from client.private import contributions
from client.private.clipping import Clip, ClippedSum, forward_losses, plain
from client.private.contributions import KINDS, Contribution, Factors, PerPatient
from client.private.fused import FusedSum
from client.private.opacus_engines import HookSum
from irene_model.network.model import IreneModel
from irene_model.network.tokens import ClassToken, GroupedLinear, PositionTable
from irene_model.weights.weights import new_model
from tests.helpers.hostile import KINDS_OF_PAIRS, Pair, pairs, poison, scramble
from tests.helpers.models.clipped_sums import STUDY, batch_of, rows, sums_of

PATIENTS = 40
AT_MOST = 1 + 1e-4
T, D, P = 6, 8, 5
# A layer, and how its inputs and the gradients of its outputs are made of a pair of its shape.
LAYERS: dict[str, tuple[nn.Module, tuple[int, int, int], Callable[[Pair], Pair]]] = {
    "linear": (nn.Linear(D, P), (T, D, P), lambda pair: pair),
    "one token": (nn.Linear(D, P), (1, D, P), lambda pair: (pair[0][:, 0], pair[1][:, 0])),
    "long": (nn.Linear(3, 2), (200, 3, 2), lambda pair: pair),
    "wide": (nn.Linear(300, 2), (3, 300, 2), lambda pair: pair),
    "conv": (
        nn.Conv2d(2, P, 2, stride=2), (4, 8, P),
        lambda pair: (pair[0].reshape(-1, 2, 4, 4), pair[1].mT.reshape(-1, P, 2, 2)),
    ),
    "norm": (nn.LayerNorm(D), (T, D, D), lambda pair: pair),
    "embedding": (
        nn.Embedding(4, P), (T, 1, P),
        lambda pair: (pair[0][:, :, 0].view(torch.int32).long() % 4, pair[1]),
    ),
    "positions": (PositionTable(T, P), (T, 1, P), lambda pair: pair),
    "class token": (ClassToken(P), (T, 1, P), lambda pair: pair),
    "grouped": (GroupedLinear(T, D, P), (T, D, P), lambda pair: pair),
}  # fmt: skip


def found_in(layer: nn.Module, pair: Pair) -> dict[str, Contribution]:
    trained = dict(layer.named_parameters())
    with plain(torch.device("cpu")):
        return KINDS[type(layer)](layer, trained, *pair)


def alone(clip: Clip, index: int) -> Clip:
    """As if one patient were the only one."""
    return clip_of(clip, torch.arange(len(clip.factors)) == index)


def clip_of(clip: Clip, kept: Tensor) -> Clip:
    left_out = ~kept if clip.left_out is None else ~kept | clip.left_out
    return replace(clip, factors=clip.factors * kept, left_out=left_out)


def added(layer: nn.Module, found: dict[str, Contribution], clip: Clip) -> Tensor:
    """What the patients of `clip` add to all parameters of the layer, float64."""
    sums = {name: torch.zeros_like(p) for name, p in layer.named_parameters()}
    with plain(torch.device("cpu")):
        for name, contribution in found.items():
            contribution.add_to(sums[name], clip)
    return torch.cat([total.flatten() for total in sums.values()]).double()


def worst(layer: nn.Module, pair: Pair, clip_norm: float) -> float:
    """The largest of what single patients add, and of what leaving one out changes, over C."""
    found = found_in(layer, pair)
    squares = torch.stack([contribution.squares() for contribution in found.values()]).sum(dim=0)
    clip = Clip.to(clip_norm, squares.sqrt())
    each = [float(added(layer, found, alone(clip, i)).norm()) for i in range(len(squares))]
    together = added(layer, found, clip)
    kept = torch.ones(len(squares), dtype=torch.bool)
    for index in range(0, len(squares), 8):
        kept[index] = False
        each.append(float((together - added(layer, found, clip_of(clip, kept))).norm()))
        kept[index] = True
    assert bool(together.isfinite().all())
    return max(each) / clip_norm


def clip_norms(pair: Pair, g: torch.Generator) -> float:
    """A clip norm that a study may have, below the gradients of about half of the patients."""
    sizes = pair[0].double().flatten(1).norm(dim=1) * pair[1].double().flatten(1).norm(dim=1)
    middle = float(sizes[sizes.isfinite()].median()) * 10 ** -float(4 * torch.rand((), generator=g))
    return min(max(middle, 1e-6), 1e6)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("slack", [0.0, 5.0])
@pytest.mark.parametrize("name", LAYERS)
def test_no_pair_of_factors_adds_more_than_the_clip_norm(
    name: str, slack: float, half: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As factors where it can be and as the rule has it; as float32 and as autocast gives them."""
    monkeypatch.setattr(contributions, "_MEMORY_FOR_TIME", slack)
    layer, shape, form = LAYERS[name]
    g = torch.Generator().manual_seed(len(name))
    for kind in KINDS_OF_PAIRS:
        for _ in range(4):
            pair = pairs(kind, PATIENTS, shape, g)
            if half:
                pair = pair[0].bfloat16().float(), pair[1].bfloat16().float()
            clip_norm = clip_norms(pair, g)
            inputs, backprops = form(pair)
            if half:
                backprops = backprops.bfloat16()
                inputs = inputs.bfloat16() if inputs.is_floating_point() else inputs
            assert worst(layer, (inputs, backprops), clip_norm) <= AT_MOST


def climb(kind: Callable[..., Contribution], total: Tensor, pair: Pair, steps: int) -> float:
    """Gradient ascent on the true norm over the one that clips; the most that is added over C."""
    a, g = (x.clone().requires_grad_() for x in pair)
    most = 0.0
    for _ in range(steps):
        taken = kind(a, g).squares()
        true = torch.bmm(g.double().mT, a.double()).square().sum(dim=(1, 2))
        gain = (true.clamp(min=1e-300).log() - taken.clamp(min=1e-300).log()).sum()
        moves = torch.autograd.grad(gain, (a, g))
        with torch.no_grad():
            norms = taken.sqrt()
            clip_norm = min(max(float(norms[norms > 0].median()) / 1000, 1e-6), 1e6)
            clip = Clip.to(clip_norm, norms)
            contribution = kind(a, g)
            for index in range(len(norms)):
                contribution.add_to(total.zero_(), alone(clip, index))
                most = max(most, float(total.double().norm()) / clip_norm)
            for x, move in zip((a, g), moves, strict=True):
                size = move.flatten(1).norm(dim=1).clamp(min=1e-30)[:, None, None]
                x += 1e-3 * x.flatten(1).norm(dim=1)[:, None, None] * torch.nan_to_num(move / size)
    return most


def of_length_one(pair: Pair) -> Pair:
    a, g = ((x.double() / x.double().flatten(1).norm(dim=1)[:, None, None]).float() for x in pair)
    return a, g


def kept(a: Tensor, g: Tensor) -> PerPatient:
    return PerPatient(torch.bmm(g.mT, a))


@pytest.mark.parametrize("kind", [Factors, kept])
def test_gradient_ascent_finds_no_way(kind: Callable[..., Contribution]) -> None:
    g = torch.Generator().manual_seed(0)
    for pattern in ("random", "cancelling", "opposite"):
        pair = of_length_one(pairs(pattern, PATIENTS, (T, D, P), g))
        assert climb(kind, torch.zeros(P, D), pair, steps=30) <= AT_MOST


def test_the_search_finds_what_the_guard_is_for() -> None:
    """The same search, where norms are ghost norms in float32."""
    g = torch.Generator().manual_seed(0)
    pair = of_length_one(pairs("cancelling", PATIENTS, (T, D, P), g))
    assert climb(_Factors, torch.zeros(P, D), pair, steps=2) > 10


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(("engine", "slack"), [(FusedSum, 0.0), (FusedSum, 5.0), (HookSum, 5.0)])
def test_hostile_weights_of_a_whole_model(
    engine: Callable[..., ClippedSum], slack: float, half: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contributions, "_MEMORY_FOR_TIME", slack)
    assert most_of(engine, half=half, seeds=range(8)) <= AT_MOST


def test_the_same_weights_get_past_an_unguarded_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmarks.engines.unguarded, "_MEMORY_FOR_TIME", 0.0)
    assert most_of(UnguardedSum, half=False, seeds=range(8)) > 2


def most_of(engine: Callable[..., ClippedSum], *, half: bool, seeds: range) -> float:
    """The most that a patient adds over C under hostile weights."""
    most = 0.0
    for seed in seeds:
        g = torch.Generator().manual_seed(seed)
        model, batch = new_model(STUDY, seed=1), batch_of(4, seed=seed)
        (scramble if seed % 4 == 0 else poison)(model, g)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            clip_norm = min(max(norm_of(model, batch) / 1000, 1e-6), 1e6)
            for index in range(4):
                one = rows(batch, slice(index, index + 1))
                totals = sums_of(engine, model, one, clip_norm=clip_norm)
                flat = torch.cat([total.flatten() for total in totals]).double()
                most = max(most, float(flat.norm()) / clip_norm)
    return most


def norm_of(model: IreneModel, batch: dict[str, Tensor]) -> float:
    """The norm of one patient's gradient."""
    model.zero_grad()
    forward_losses(model, rows(batch, slice(0, 1)))[1].sum().backward()
    grads = [p.grad.double().square().sum() for p in model.parameters() if p.grad is not None]
    return float(torch.stack(grads).sum().sqrt().nan_to_num(1.0))
