"""An attack on secure sums: what the coordinator and its helpers learn of one site's canaries.

Canaries join the first site by fair coins. Every site takes its step through the real client's code
with a ledger and a mask key of its own, and the coordinator adds up what they send. Two attackers
look at it, each against its own claim:

- the coordinator with `colluding` sites, the last ones: they know what these added, noise and all,
  and take it away from the sum. It is the sum of the honest sites and of their noise;
- everybody but the first site: they know all masks with it, and so its own noised vector.

Both know all patients and all canaries and lack the coins, as in `audit`. Beside the guesses, they
measure the noise: what is missing of it is told by far less than it takes to win guesses.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch

from client.budget import Plan, plan_round
from client.ledger import Ledger
from client.private import Randomness
from client.records import SiteDataset
from client.secure import Part, train_sum
from client.site import Site, mapped_labels, mapped_modalities
from irene_model.errors import ConfigError
from irene_model.exchange import Arrays
from irene_model.secure import (
    Attempt,
    MaskKey,
    add,
    dimensions,
    empty,
    grid_of_training,
    mask,
    unflatten,
)
from irene_model.study import Member, Study
from irene_model.weights import new_model, to_arrays, trained_names
from simulations.audit.attacks import Evidence, Matrix, noise_variance, participation
from simulations.audit.audit import RUN, Audit, Progress, each_gradient, proved
from simulations.audit.canaries import make_canaries, with_canaries
from simulations.audit.lower_bound import correct_guesses

Members = tuple[Member, ...]
Words = npt.NDArray[np.uint32]
SUM_ATTACKS = ("all sums", "differences of sums")


@dataclass(frozen=True, kw_only=True)
class Hospital:
    """One site of the federation. dataset: canaries included. ledgers: one for each training."""

    site: Site
    dataset: SiteDataset
    key: MaskKey
    ledgers: Sequence[Ledger]

    def sent(self, weights: Arrays, *, training: int, round: int, members: Members) -> "Sent":
        """What it sends in a round, by the real client's code."""
        study = self.dataset.study
        attempt = Attempt(
            fingerprint=study.fingerprint,
            run=RUN,
            round=round,
            what="train",
            attempt=1,
            partners=members,
            me=self.site.site,
        )
        vector: Words = train_sum(
            weights,
            Part(attempt=attempt, key=self.key),
            dataset=self.dataset,
            plan=_plan(study, round, len(members)),
            ledger=self.ledgers[training],
            randomness=Randomness.of_the_operating_system(),
            device=torch.device("cpu"),
            memory=self.site.memory,
            modalities=mapped_modalities(self.site, study),
            labels=mapped_labels(self.site, study),
        )["sum"]
        masks = mask(np.zeros(len(vector), dtype=np.int64), self.key, attempt)
        return Sent(masked=vector, own=vector - masks)


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A site's vector (D,) as the coordinator gets it, and as who knows all its masks sees it."""

    masked: Words
    own: Words


@dataclass(kw_only=True)
class _Attacker:
    """What one of both learned. rows: of everybody it looks for, the canaries first."""

    scores: dict[str, Matrix]
    noises: list[float] = field(default_factory=list)
    before: tuple[Matrix, Matrix, Evidence] | None = None

    @classmethod
    def of(cls, canaries: int) -> "_Attacker":
        return cls(scores={name: np.zeros(canaries) for name in SUM_ATTACKS})

    def look(
        self, seen: Matrix, rows: Matrix, expected: Matrix, *, clip: float, claimed: float
    ) -> None:
        """Score the canaries by one round's sum (d,); claimed: its noise over the clip norm."""
        canaries = len(self.scores["all sums"])
        learned = Evidence.of(seen, rows)
        evidence = learned.clipped(clip)
        self.scores["all sums"] += participation(evidence, expected)[:canaries]
        if self.before is not None:
            total, earlier, then = self.before
            change = learned.since(then, change=seen - total, rows=rows, earlier=earlier).clipped(
                clip
            )
            both = participation(change, np.tile(expected, 2))
            self.scores["differences of sums"] += both[:canaries] + both[len(rows) :][:canaries]
        self.before = seen, rows, learned
        self.noises.append(noise_variance(evidence) / (claimed * clip) ** 2)


def audit_sums(
    hospitals: Sequence[Hospital],
    *,
    canaries: int,
    seed: int,
    confidence: float = 0.95,
    progress: Progress | None = None,
) -> tuple[Audit, Audit]:
    """Train all rounds once for each ledger, and attack the first of `hospitals`, in their order.

    The first audit is against the coordinator and the colluding sites, the second one against all
    others. ConfigError for a study without secure sums or without noise.
    """
    study = hospitals[0].dataset.study
    secure = study.federation.secure
    if secure is None or secure.roster is None or not study.privacy.enabled:
        raise ConfigError("an audit of sums needs a study with secure sums, a roster and noise")
    members = secure.roster.among([hospital.site.site for hospital in hospitals])
    trainings = len(hospitals[0].ledgers)
    guesses = canaries // 4 // 2 * 2  # the surest; fixed beforehand
    correct = [Counter(dict.fromkeys(SUM_ATTACKS, 0)) for _ in range(2)]
    noises: list[list[float]] = [[], []]
    rounds = itertools.count(1)

    def advance() -> None:
        if progress is not None:
            progress(next(rounds), study.federation.rounds * trainings)

    for training in range(trainings):
        attackers, included = _train(
            hospitals,
            members,
            training=training,
            canaries=canaries,
            rng=np.random.default_rng([seed, 16, training]),
            advance=advance,
        )
        for attacker, right, found in zip(attackers, correct, noises, strict=True):
            found += attacker.noises
            for name, each in attacker.scores.items():
                right[name] += correct_guesses(each, included, guesses)
    delta, ledgers = study.privacy.delta, hospitals[0].ledgers
    helpers = f"the coordinator and {secure.colluding} of {len(hospitals)} sites"
    claims = {
        helpers: max(ledger.epsilon(delta=delta) for ledger in ledgers),
        "everybody else": max(ledger.epsilon_alone(delta=delta) for ledger in ledgers),
    }
    audits = [
        Audit(
            against=against,
            epsilon_claimed=claimed,
            delta=delta,
            confidence=confidence,
            canaries=canaries * trainings,
            findings=proved(
                right,
                canaries=canaries * trainings,
                guesses=guesses * trainings,
                delta=delta,
                confidence=confidence,
            ),
            noise_found=float(np.sqrt(np.mean(found))),
        )
        for (against, claimed), right, found in zip(claims.items(), correct, noises, strict=True)
    ]
    return audits[0], audits[1]


def _train(
    hospitals: Sequence[Hospital],
    members: Members,
    *,
    training: int,
    canaries: int,
    rng: np.random.Generator,
    advance: Callable[[], None],
) -> tuple[list[_Attacker], npt.NDArray[np.bool_]]:
    """Both attackers after one training, and the coins."""
    first, study = hospitals[0], hospitals[0].dataset.study
    secure = study.federation.secure
    colluding = 1 if secure is None else secure.colluding
    loud = make_canaries(first.dataset, canaries, rng)
    included = rng.random(canaries) < 0.5
    target = replace(first, dataset=with_canaries(first.dataset, loud, included))
    honest = [h.dataset for h in hospitals[: len(hospitals) - colluding]]
    there = [d.batch(np.concatenate(d.patients["train"])) for d in honest]
    known = {name: torch.cat([loud[name], *(batch[name] for batch in there)]) for name in loud}
    own = canaries + len(honest[0].patients["train"])  # of the rows: those of the first site
    weights = to_arrays(new_model(study, seed=int(rng.integers(2**31))))
    size, read = _reader(study)
    both = [_Attacker.of(canaries), _Attacker.of(canaries)]
    for round in range(1, study.federation.rounds + 1):
        plan = _plan(study, round, len(hospitals))
        rows = each_gradient(study, weights, known)
        expected = np.full(len(rows), plan.mechanism.sample_rate)
        expected[:canaries] /= 2  # their coins
        sent = [
            h.sent(weights, training=training, round=round, members=members)
            for h in (target, *hospitals[1:])
        ]
        total = empty(size)
        for each in sent:
            add(total, each.masked)
        rest = total.copy()
        for each in sent[len(honest) :]:
            rest -= each.own
        clip = plan.clip_norm
        both[0].look(
            flat(read(rest)), rows, expected, clip=clip, claimed=plan.mechanism.noise_multiplier
        )
        both[1].look(
            flat(read(sent[0].own)), rows[:own], expected[:own], clip=clip, claimed=plan.share
        )
        rate = plan.learning_rate / plan.expected_batch
        moves = {name: -rate * array for name, array in read(total).items()}
        weights |= {name: weights[name] + move.astype(np.float32) for name, move in moves.items()}
        advance()
    return both, included


def _reader(study: Study) -> tuple[int, Callable[[Words], Arrays]]:
    """D, and what reads a sum on the study's grid as arrays, in the model's own order."""
    model = new_model(study, seed=0)
    trained = trained_names(model)
    like = {name: array for name, array in to_arrays(model).items() if name in trained}
    grid = grid_of_training(study, dimensions(like))

    def read(total: Words) -> Arrays:
        arrays = unflatten(grid.decode(total), like)
        return {name: arrays[name] for name, p in model.named_parameters() if p.requires_grad}

    return dimensions(like), read


def flat(arrays: Arrays) -> Matrix:
    """(d,): as `each_gradient` has them."""
    return np.concatenate([array.ravel() for array in arrays.values()])


def _plan(study: Study, round: int, sites: int) -> Plan:
    return plan_round(study, 1, round, sites=sites)  # a site's size has no part in it
