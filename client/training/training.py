"""Weights in, update out: one round at one site.

The order of a private round is fixed here: judge the message, reserve durably, train, release
durably, and only then hand the update to be sent.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import torch
from safetensors import numpy as safetensors

from client.budget import Plan
from client.devices import ALONE, PlainGradient, Team, draw_step, sharing
from client.ledger import Ledger
from client.private import PrivateGradient, Randomness, trained_parameters
from client.records import SiteDataset
from client.site import Memory
from client.training.heap import keep_freed_memory
from irene_model.errors import ProtocolError
from irene_model.exchange import Arrays, check_weights
from irene_model.network import DiagnosticModel
from irene_model.study import Study, rounded
from irene_model.weights import (
    Labels,
    choose_mapped,
    lent_model,
    load_arrays,
    to_arrays,
    trained_names,
    without_rows,
)

_AMPLE = Memory()


def train_round(
    weights: Arrays,
    *,
    dataset: SiteDataset,
    plan: Plan,
    ledger: Ledger,
    run: str,
    round: int,
    randomness: Randomness,
    device: torch.device,
    memory: Memory = _AMPLE,
    team: Team = ALONE,
    modalities: Collection[str] | None = None,
    labels: Labels | None = None,
    again: bool = False,
) -> Arrays:
    """The update of one round, reserved in the ledger before and released in it after.

    modalities and labels (K,): what the site maps; the rest is neither trained nor sent. None: all.
    team: the site's further devices.
    again: give what was released before; a round that was not is a ProtocolError, costing nothing.

    Raises BudgetExceeded before anything is trained, and ProtocolError for weights that are not
    those of the study's model. A round that was released before gives the same bytes again.
    """
    with lent_model(dataset.study, again=_leaves_no_trace(dataset.study, device, memory)) as model:
        if not again:
            # A malformed message must not cost budget.
            check_weights(weights, to_arrays(model), dataset.study)
            load_arrays(model, weights)
        elif not ledger.has_released(run, round):
            raise ProtocolError("no update of this round was released here before")
        if modalities is not None:
            choose_mapped(model, modalities, dataset.study.model.method)
        ledger.record_patients(dataset.training_digests)
        reservation = ledger.reserve(
            run=run,
            round=round,
            mechanism=plan.mechanism,
            clip_norm=plan.clip_norm,
            assignment=dataset.assignment,
        )
        if reservation.released:
            return unpack(ledger.outbox(reservation))
        update = local_update(
            model,
            dataset=dataset,
            plan=plan,
            randomness=randomness,
            device=device,
            memory=memory,
            team=team,
        )
        if labels is not None:
            update = {name: without_rows(name, array, labels) for name, array in update.items()}
        update = rounded(update, dataset.study.federation.wire)  # what is kept is what travels
        return unpack(ledger.release(reservation, pack(update)))


def local_update(
    model: DiagnosticModel,
    *,
    dataset: SiteDataset,
    plan: Plan,
    randomness: Randomness,
    device: torch.device,
    memory: Memory = _AMPLE,
    team: Team = ALONE,
) -> Arrays:
    """Train `model` by one round's steps and give the change of what is trained, unaccounted.

    At a hospital only `train_round` may call this. Comparisons call it for training that is no
    federation: nothing leaves anywhere then.
    """
    before = to_arrays(model)
    with prepared(model, randomness=randomness, device=device, memory=memory):
        _train(
            model,
            dataset=dataset,
            plan=plan,
            randomness=randomness,
            device=device,
            memory=memory,
            team=team,
        )
    trained = to_arrays(model)
    return {name: trained[name] - before[name] for name in trained_names(model)}


def _leaves_no_trace(study: Study, device: torch.device, memory: Memory) -> bool:
    """Whether training changes nothing of a model but its weights."""
    plain = device.type == "cpu" and not memory.gradient_checkpointing
    return plain and study.privacy.engine == "fused"


@contextmanager
def prepared(
    model: DiagnosticModel, *, randomness: Randomness, device: torch.device, memory: Memory
) -> Iterator[None]:
    """`model` on `device`, to be trained in the site's memory; dropout is of `randomness`."""
    if memory.gradient_checkpointing:
        model.activation_checkpointing_enable()
    if device.type == "cpu":
        keep_freed_memory()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        # Dropout takes no generator but the global one of its device.
        seed = int(randomness.dropout.integers(2**63))
        if device.type == "cpu":  # `torch.manual_seed` would note for each GPU where it was called
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)
        model.to(device).train()
        yield


def _train(
    model: DiagnosticModel,
    *,
    dataset: SiteDataset,
    plan: Plan,
    randomness: Randomness,
    device: torch.device,
    memory: Memory,
    team: Team,
) -> None:
    """`plan.mechanism.steps` local steps; changes `model`."""
    optimizer = _optimizer(model, dataset.study, plan.learning_rate)
    engine = dataset.study.privacy.engine
    pull = ProximalPull(model, dataset.study.federation.proximal_mu)
    private = (
        PrivateGradient(model, clip_norm=plan.clip_norm, engine=engine) if plan.private else None
    )
    rate = plan.mechanism.sample_rate
    draws = [
        draw_step(dataset, sample_rate=rate, randomness=randomness)
        for _ in range(plan.mechanism.steps)
    ]
    with sharing(
        model,
        private or PlainGradient(model, expected_batch=plan.expected_batch),
        dataset=dataset,
        draws=draws,
        clip_norm=plan.clip_norm if plan.private else None,
        expected_batch=plan.expected_batch,
        device=device,
        memory=memory,
        team=team,
    ) as steps:
        for _ in draws:
            optimizer.zero_grad(set_to_none=private is not None)
            steps.add()
            if private is not None:
                private.release(
                    noise_multiplier=plan.mechanism.noise_multiplier,
                    expected_batch=plan.expected_batch,
                    rng=randomness.noise,
                )
            pull.add_to_gradients()
            optimizer.step()
    if private is not None:
        private.close()


class ProximalPull:
    """μ (w - w₀), the gradient of FedProx's proximal term (Li et al. 2020, eq. 2).

    It depends on weights alone, so it is added after clipping and noise and costs nothing.
    """

    def __init__(self, model: torch.nn.Module, mu: float) -> None:
        """The weights of now are w₀."""
        self._mu = mu
        self._starts = [(p, p.detach().clone()) for p in trained_parameters(model)] if mu else []

    def add_to_gradients(self) -> None:
        """Add the pull of each trained parameter to its gradient."""
        for parameter, start in self._starts:
            pull = (parameter.detach() - start).mul_(self._mu)
            parameter.grad = pull if parameter.grad is None else parameter.grad.add_(pull)


def pack(update: Arrays) -> bytes:
    """The update as the bytes that the ledger keeps."""
    return bytes(safetensors.save(update))


def unpack(payload: bytes) -> Arrays:
    """The inverse of `pack`."""
    arrays: Arrays = safetensors.load(payload)
    return arrays


def _optimizer(model: DiagnosticModel, study: Study, rate: float) -> torch.optim.Optimizer:
    trained = trained_parameters(model)
    if study.training.optimizer == "sgd":
        return torch.optim.SGD(trained, lr=rate)
    return torch.optim.AdamW(trained, lr=rate, weight_decay=study.training.weight_decay)
