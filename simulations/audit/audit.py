"""An attack on our own claim: canaries in a simulated site, and what all its updates betray.

Canaries are made-up patients with loud images, odd words, extreme values and random labels. Each
joins the training set or not by a fair coin. The site then trains as always, through the real
client's code and a real ledger, and the attacker sees every update and the weights before it, as a
curious coordinator would.

As differential privacy grants, the attacker knows all canaries and all other patients and only
lacks the coins. A round's update is a noised sum of clipped gradients, so the attacker regresses it
on everybody's own clipped gradients; a canary's score is how much more than expected it seems to
have taken part, added up over the rounds. A second attack supposes that nobody's gradient was
clipped by itself and only the batch as a whole was scaled, by a factor that it estimates. A third
one regresses differences of successive updates, in which a noise that is used twice cancels. The
last one sees the final model alone: how much better it fits a canary than the first.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.func import functional_call, grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from client.budget import Plan, plan_round
from client.ledger import Ledger
from client.private import Randomness
from client.records import SiteDataset
from client.training import train_round
from irene_model.errors import ConfigError
from irene_model.exchange import Arrays
from irene_model.inputs import Batch
from irene_model.network import DiagnosticModel
from irene_model.privacy import epsilons
from irene_model.study import Study
from irene_model.weights import load_arrays, new_model, to_arrays
from simulations.audit.attacks import Evidence, Matrix, batch_scale, participation
from simulations.audit.canaries import make_canaries, with_canaries
from simulations.audit.lower_bound import correct_guesses, epsilon_lower_bound

RUN = "audit"
ATTACKS = (
    "all updates",
    "all updates, clipped as a whole",
    "differences of updates",
    "final model alone",
)
LEAST_NOISE_FOUND = 0.98
"""Over the claimed: some hundred thousand numbers tell a deviation to a percent."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One attack: right ones among its guesses, and the epsilon that they prove at least."""

    attack: str
    guesses: int
    correct: int
    epsilon_at_least: float


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What the ledger claims and what the attacks prove, each with `confidence`.

    against: who sees it. noise_found: the noise that was measured, over the claimed; None where it
    was not.
    """

    epsilon_claimed: float
    delta: float
    confidence: float
    canaries: int
    findings: tuple[Finding, ...]
    against: str = "the coordinator"
    noise_found: float | None = None

    @property
    def refuted(self) -> bool:
        """Whether an attack proves more than the claim, or the noise is less than it."""
        too_little = self.noise_found is not None and self.noise_found < LEAST_NOISE_FOUND
        return too_little or any(f.epsilon_at_least > self.epsilon_claimed for f in self.findings)

    def as_json(self) -> dict[str, Any]:
        """For audit.json."""
        return {**asdict(self), "refuted": self.refuted}


def audit(
    dataset: SiteDataset,
    *,
    ledgers: Sequence[Ledger],
    canaries: int,
    seed: int,
    confidence: float = 0.95,
    progress: Progress | None = None,
) -> Audit:
    """Train all rounds of the data set's study once for each of `ledgers`, and attack.

    Each training has `canaries` of its own and starts anew, so together they are one mechanism
    that is as private as a single one (parallel composition), and their guesses add up.
    Canaries, coins and initial weights follow from `seed`; noise and sampling come from the
    operating system, as at a real site. ConfigError for a study whose updates are not plain sums
    of gradients: the attacks assume `sgd` and one local step.
    """
    study = dataset.study
    if study.training.optimizer != "sgd" or study.federation.local_steps != 1:
        raise ConfigError(
            "an audit needs plain gradients: set training.optimizer to sgd and "
            "federation.local_steps to 1"
        )
    rounds = itertools.count(1)

    def advance() -> None:
        if progress is not None:
            progress(next(rounds), study.federation.rounds * len(ledgers))

    guesses = canaries // 4  # the surest; fixed beforehand
    correct: Counter[str] = Counter()
    for index, ledger in enumerate(ledgers):
        rng = np.random.default_rng([seed, 9, index])
        scores, included = _train_and_score(
            dataset,
            ledger=ledger,
            canaries=canaries,
            rng=rng,
            advance=advance,
        )
        for name, each in scores.items():
            correct[name] += correct_guesses(each, included, guesses)
    return Audit(
        epsilon_claimed=max(
            epsilons((r.mechanism for r in each.reservations()), delta=study.privacy.delta).smallest
            for each in ledgers
        ),
        delta=study.privacy.delta,
        confidence=confidence,
        canaries=canaries * len(ledgers),
        findings=proved(
            correct,
            canaries=canaries * len(ledgers),
            guesses=guesses // 2 * 2 * len(ledgers),
            delta=study.privacy.delta,
            confidence=confidence,
        ),
    )


def proved(
    correct: Mapping[str, int], *, canaries: int, guesses: int, delta: float, confidence: float
) -> tuple[Finding, ...]:
    """What the attacks prove by so many `correct` guesses each, of `guesses`.

    All together fail with chance 1 - confidence at most (Bonferroni).
    """
    return tuple(
        Finding(
            attack=name,
            guesses=guesses,
            correct=right,
            epsilon_at_least=epsilon_lower_bound(
                canaries=canaries,
                guesses=guesses,
                correct=right,
                delta=delta,
                confidence=1 - (1 - confidence) / len(correct),
            ),
        )
        for name, right in correct.items()
    )


def _train_and_score(
    dataset: SiteDataset,
    *,
    ledger: Ledger,
    canaries: int,
    rng: np.random.Generator,
    advance: Callable[[], None],
) -> tuple[dict[str, Matrix], npt.NDArray[np.bool_]]:
    """Each attack's scores of the canaries, and their coins."""
    study = dataset.study
    loud = make_canaries(dataset, canaries, rng)
    included = rng.random(canaries) < 0.5
    members = with_canaries(dataset, loud, included)
    ordinary = dataset.batch(np.concatenate(dataset.patients["train"]))
    known = {name: torch.cat([loud[name], ordinary[name]]) for name in loud}
    # Public, as the theorem wants it: the number of those who might be there, not who are.
    declared = len(dataset.patients["train"]) + canaries // 2
    weights = first = to_arrays(new_model(study, seed=int(rng.integers(2**31))))
    scores = {name: np.zeros(canaries) for name in ATTACKS}
    before: tuple[Matrix, Matrix, Evidence] | None = None
    for round in range(1, study.federation.rounds + 1):
        plan = plan_round(study, declared, round)
        rows = each_gradient(study, weights, known)
        update = train_round(
            weights,
            dataset=members,
            plan=plan,
            ledger=ledger,
            run=RUN,
            round=round,
            randomness=Randomness.of_the_operating_system(),
            device=torch.device("cpu"),
        )
        total = _noised_sum(update, plan, study)
        expected = np.full(len(rows), plan.mechanism.sample_rate)
        expected[:canaries] /= 2  # their coins
        seen = Evidence.of(total, rows)
        scores["all updates"] += participation(seen.clipped(plan.clip_norm), expected)[:canaries]
        whole = participation(seen, expected, scale=batch_scale(seen, expected))
        scores["all updates, clipped as a whole"] += whole[:canaries]
        if before is not None:
            change = seen.since(before[2], change=total - before[0], rows=rows, earlier=before[1])
            both = participation(change.clipped(plan.clip_norm), np.tile(expected, 2))
            scores["differences of updates"] += both[:canaries] + both[len(rows) :][:canaries]
        before = total, rows, seen
        weights = {**weights, **{name: weights[name] + move for name, move in update.items()}}
        advance()
    scores["final model alone"] = losses(study, first, loud) - losses(study, weights, loud)
    return scores, included


def each_gradient(study: Study, weights: Arrays, batch: Batch) -> Matrix:
    """Each record's gradient at `weights`: (records, trained parameters)."""
    model = _model(study, weights)
    trained = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    fixed = {name: p.detach() for name, p in model.named_parameters() if not p.requires_grad}

    def loss(parameters: dict[str, torch.Tensor], record: Batch) -> torch.Tensor:
        one = {name: tensor[None] for name, tensor in record.items()}
        losses: torch.Tensor = functional_call(model, {**parameters, **fixed}, kwargs=one).losses
        return losses.sum()

    with sdpa_kernel(SDPBackend.MATH):  # the fused kernels know no vmap
        each = vmap(grad(loss), in_dims=(None, 0), chunk_size=64)(trained, batch)
    return np.asarray(torch.cat([g.flatten(start_dim=1) for g in each.values()], dim=1).double())


@torch.no_grad()
def losses(study: Study, weights: Arrays, batch: Batch) -> Matrix:
    """Each record's loss at `weights`, (records,)."""
    return np.asarray(_model(study, weights)(**batch).losses.double().numpy())


def _model(study: Study, weights: Arrays) -> DiagnosticModel:
    model = new_model(study, seed=0)
    load_arrays(model, weights)
    model.eval()
    return model


def _noised_sum(update: Arrays, plan: Plan, study: Study) -> Matrix:
    """Undo the plain step: the noised sum of clipped gradients, flat, trained parameters only."""
    trained = [n for n, p in new_model(study, seed=0).named_parameters() if p.requires_grad]
    flat = np.concatenate([update[name].ravel() for name in trained]).astype(np.float64)
    return np.asarray(-flat * plan.expected_batch / plan.learning_rate)
