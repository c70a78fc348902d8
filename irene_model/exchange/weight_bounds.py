"""How large the weights of a message can be, by the study's own arithmetic. Pure.

A site judges them before anything is charged. No bound on weights makes training private: that is
the clipping's work (docs/privacy.md). It keeps out what no run of the study can have come to.

Legend: η the sites' rate, κ the server's, s local steps, R rounds, C the clip norm, σ the noise
multiplier, w a single weight. The first weights are fresh, or of a model that was trained elsewhere
(`irene_model.weights.starting`): at most LARGEST_FIRST. From there a round moves a weight by at
most

    fedadam, fedyogi                        κ A
    AdamW at the sites, any other strategy  κ s η A    (decay with η λ ≤ 2 moves towards 0)
    SGD with noise, any other strategy      κ s η C (33 + 9 σ)

Adam and Yogi. Both keep v_t ≥ β₂ v_(t-1) and v_t ≥ (1-β₂) g_t², so |g_i| ≤ √(v_t / ((1-β₂)
β₂^(t-i))). With m_t = (1-β₁) Σ β₁^(t-i) g_i this gives |m_t| / √v_t ≤ A for

    A = (1-β₁) / √(1-β₂) · Σ_k (β₁/√β₂)^k = (1-β₁) / (√(1-β₂) (1 - β₁/√β₂)) = 31.8,

whatever the gradients are, and the bias corrections √(1-β₂ᵗ) / (1-β₁ᵗ) only lessen it.

SGD. A step is η (S + N) / b. With b ≥ 1 the sum S of n ≤ 1.5 b + 6 √(1.5 b) + 24 clipped gradients
(`server.aggregation.bounds`) is at most 33 C b in each coordinate, and no noise is beyond 8.58 σC
(`client.private.noise`). σ is the study's, or at most what its epsilon asks for at sampling rate 1
by Rényi accounting: x = √(R s) / σ solves x²/2 + x √(2 ln 1/δ) = ε (Mironov 2017, Prop. 3).

A mean, a median and a late update lie between the sites' updates, which the server holds to the
same arithmetic, and FedProx' pull with η μ ≤ 2 makes a move no larger. SGD without noise has no
bound.
"""

import math
from collections.abc import Iterator, Mapping

from irene_model.errors import ProtocolError
from irene_model.exchange.protocol import Array, check_update
from irene_model.study import ADAPTIVE, Study, server_rate, site_rate

# Of published Vision Transformers and text encoders the largest weights are some tens.
LARGEST_FIRST = 1024.0
_BETA_1, _BETA_2 = 0.9, 0.999
_ADAM = (1 - _BETA_1) / (math.sqrt(1 - _BETA_2) * (1 - _BETA_1 / math.sqrt(_BETA_2)))
_CLIPPED, _NOISE = 33.0, 9.0
_MARGIN = 1.02  # rounding: of float32 and of what travels


def check_weights(weights: Mapping[str, Array], like: Mapping[str, Array], study: Study) -> None:
    """Refuse weights that are not those of the study's model, or that no run of it can reach."""
    check_update(weights, like)
    bound = largest_weight(study)
    for name in _beyond(weights, bound):
        raise ProtocolError(
            f"the message's array '{name}' holds a weight beyond {bound:.6g}, the most that"
            f" {study.federation.rounds} rounds of this study can make of first weights up to"
            f" {LARGEST_FIRST:g}; these are not its weights"
        )


def check_moves(update: Mapping[str, Array], study: Study) -> None:
    """Refuse an update in which one weight moves by more than the study's steps can move it.

    A norm alone would let one site lift one weight so far that the other sites refuse them all.
    """
    bound = largest_move(study)
    for name in _beyond(update, bound):
        raise ProtocolError(
            f"the update's array '{name}' moves a weight by more than {bound:.6g}, the most that"
            f" {study.federation.local_steps} local steps of this study can"
        )


def largest_weight(study: Study) -> float:
    """The largest magnitude that a weight of the study may have; infinite where none follows."""
    rounds = range(1, study.federation.rounds + 1)
    server = max(server_rate(study, round) for round in rounds)
    adaptive = study.federation.strategy in ADAPTIVE
    move = server * (_ADAM if adaptive else _site_move(study))  # a late update's rate is another's
    return _MARGIN * (LARGEST_FIRST + study.federation.rounds * move)


def largest_move(study: Study) -> float:
    """The most by which a site's update may move one weight; infinite where none follows."""
    training = study.training
    decay = training.weight_decay if training.optimizer == "adamw" else 0.0
    decays = _largest_rate(study) * study.federation.local_steps * decay
    return _MARGIN * (_site_move(study) + (decays * largest_weight(study) if decays else 0.0))


def _site_move(study: Study) -> float:
    """Of one site in one round, without decay towards 0."""
    rate, steps = _largest_rate(study), study.federation.local_steps
    if study.training.optimizer == "adamw":
        return steps * rate * _ADAM if rate * study.training.weight_decay <= 2 else math.inf
    if not study.privacy.enabled or rate * study.federation.proximal_mu > 2:
        return math.inf
    reach = _CLIPPED + _NOISE * _noise_multiplier(study)
    return steps * rate * study.privacy.clip_norm * reach


def _largest_rate(study: Study) -> float:
    return max(site_rate(study, round) for round in range(1, study.federation.rounds + 1))


def _noise_multiplier(study: Study) -> float:
    """The study's, or at least what any site will find for its epsilon."""
    privacy = study.privacy
    if privacy.noise_multiplier is not None:
        return privacy.noise_multiplier
    assert privacy.epsilon is not None  # Privacy demands one of the two
    log = math.log(1 / privacy.delta)
    x = math.sqrt(2 * log + 2 * privacy.epsilon) - math.sqrt(2 * log)
    return math.sqrt(study.total_steps) / x


def _beyond(arrays: Mapping[str, Array], bound: float) -> Iterator[str]:
    for name, array in arrays.items():
        if array.size and max(float(array.max()), -float(array.min())) > bound:
            yield name
