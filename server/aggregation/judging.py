"""Whether a site's update is what the study's contract says, before any of it counts.

Names, shapes, dtype and finite values; the sampling rate and the noise that follow from the
declared cohort; a cohort that stays about as large as it was first declared; and a norm no larger
than the study's own arithmetic allows (`server.aggregation.bounds`).
"""

import math
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from irene_model.errors import ProtocolError
from irene_model.exchange import Array, Arrays, TrainReply, check_moves, check_update
from irene_model.privacy import noise_multiplier_for
from irene_model.study import Study
from irene_model.weights import is_trained, labels_from_text, modalities_of
from server.aggregation.bounds import from_experience, from_weights, largest_norm
from server.aggregation.declared import Declared
from server.aggregation.tally import Contribution, norm
from server.runs import Json, finite

_TOLERANCE = 0.01
_REMEMBERED = 30


class Judge:
    """Judges the replies of one run. `declared` is what sites have said of themselves in it."""

    def __init__(self, study: Study, trained: Iterable[str], lines: Iterable[Json]) -> None:
        """trained: the parameters that the study trains. lines: the run's rounds so far."""
        self._study = study
        self._trained = tuple(trained)
        self._like: Arrays = {}
        self._weights_norm = 0.0
        self._norms: deque[float] = deque(maxlen=_REMEMBERED)
        self.declared = Declared()
        for line in lines:
            for site, entry in line["sites"].items():
                if entry["outcome"] == "updated" and "weight" in entry:
                    self.declared.note(site, entry["weight"], entry.get("labels", ""))
                    self._norms.append(entry.get("norm", 0.0))

    def begin(self, weights: Mapping[str, Array]) -> None:
        """A round's weights, which updates must fit."""
        self._like = {name: weights[name] for name in self._trained}
        self._weights_norm = norm(self._like)

    def check_identity(self, answer: TrainReply, site: str, round: int) -> None:
        """Raise ProtocolError for an answer to another question, or with an impossible account."""
        if (answer.site, answer.round) != (site, round):
            raise ProtocolError("the reply is of another site or another round")
        if answer.fingerprint != self._study.fingerprint:
            raise ProtocolError("the reply is of another study")
        rounds = self._study.federation.rounds
        if answer.rounds_charged > rounds:
            raise ProtocolError(f"the reply counts more rounds than the study's {rounds}")

    def contribution(self, answer: TrainReply, *, factor: float = 1.0) -> Contribution:
        """The judged update of `answer`, its weight times `factor`; else a ProtocolError."""
        rate, noise = self._check_cohort(answer)
        expected = self._expected(answer)
        check_update(answer.arrays, expected)
        update = Contribution(
            site=answer.site,
            arrays=answer.arrays,
            labels=labels_from_text(answer.labels),
            weight=answer.weight * factor,
        )
        self._check_norm(answer, update.norm, rate=rate, noise=noise)
        check_moves(answer.arrays, self._study)
        self.declared.note(answer.site, answer.weight, answer.labels)
        self._norms.append(update.norm)
        return update

    def _expected(self, answer: TrainReply) -> Arrays:
        """What the update must hold, given what its site maps."""
        modalities = answer.modalities.split(",") if answer.modalities else []
        if not set(modalities) <= set(modalities_of(self._study)):
            raise ProtocolError("the reply names a modality that is none")
        if len(answer.labels) != len(self._study.labels) or "1" not in answer.labels:
            raise ProtocolError("the reply does not say which of the study's labels the site has")
        return {
            name: array
            for name, array in self._like.items()
            if is_trained(name, modalities, self._study.model.method)
        }

    def _check_cohort(self, answer: TrainReply) -> tuple[float, float]:
        """The sampling rate and the noise multiplier that the declared cohort leads to."""
        study, weight = self._study, answer.weight
        if weight < 1 or not weight.is_integer():
            raise ProtocolError("the update's weight must be a whole number of patients, from 1")
        largest = study.federation.largest_cohort
        if largest is not None and weight > largest:
            raise ProtocolError(
                f"the site declares {weight:g} patients; federation.largest_cohort is {largest:g}"
            )
        self.declared.check_cohort(answer.site, weight)
        rate = min(1.0, study.training.expected_batch / weight)
        if not math.isclose(answer.sample_rate, rate, rel_tol=_TOLERANCE):
            raise ProtocolError("the reply's sampling rate does not follow from its weight")
        noise = study.privacy.noise_multiplier
        if noise is None:
            assert study.privacy.epsilon is not None
            try:
                noise = noise_multiplier_for(
                    study.privacy.epsilon,
                    delta=study.privacy.delta,
                    sample_rate=rate,
                    steps=study.total_steps,
                )
            except (ValueError, ArithmeticError) as error:  # declares fewer than a batch, say
                raise ProtocolError(f"no noise is enough for so few patients: {error}") from None
        if not math.isclose(answer.noise_multiplier, noise, rel_tol=_TOLERANCE):
            raise ProtocolError("the reply's noise multiplier is not the one that the study asks")
        return rate, noise

    def _check_norm(self, answer: TrainReply, size: float, *, rate: float, noise: float) -> None:
        parameters = sum(array.size for array in answer.arrays.values())
        bound = largest_norm(
            self._study,
            answer.round,
            parameters=parameters,
            weights_norm=self._weights_norm,
            noise_multiplier=noise,
            expected_batch=rate * answer.weight,
        )
        why = "clip norm, noise and learning rate allow"
        if bound is None:
            bound, why = from_experience(self._norms), "ten times the usual norm of this run is"
        if bound is None:
            bound = from_weights(self._weights_norm, parameters)
            why = "ten times what the weights have is"
        if size > bound:
            raise ProtocolError(f"the update's norm is {size:.3g}, and {why} {bound:.3g}")


def facts(answer: TrainReply) -> Json:
    """What the round's line says of a site besides its update; of an update, once it is judged."""
    entry: dict[str, Any] = {
        "outcome": str(answer.outcome),
        "reason": answer.reason,
        "code": answer.code,
        "seconds": answer.seconds,
        "weight": 0.0,
    }
    if answer.rounds_charged >= 0:
        entry["rounds_charged"] = answer.rounds_charged
    if answer.outcome == "updated":
        entry |= {
            "weight": answer.weight,
            "noise_multiplier": answer.noise_multiplier,
            "sample_rate": answer.sample_rate,
            "epsilon_told": finite(answer.epsilon_run),
            "epsilon_total": finite(answer.epsilon_total),
            "modalities": answer.modalities,
            "labels": answer.labels,
        }
    return entry
