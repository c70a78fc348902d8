"""What a run asks secure sums for: a step of training a round, and evaluations.

No site's update is seen, so none is weighed or judged alone: the sum is divided by the study's
expected batch, is judged as a whole, and is the update of one step of SGD at the study's rate. Of
an evaluation there is the sum of all sites' noised histograms, and no site's own.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from irene_model.errors import ConfigError, IreneError
from irene_model.exchange import (
    Array,
    Arrays,
    EvaluateReply,
    EvaluateRequest,
    TrainReply,
    TrainRequest,
)
from irene_model.metrics import COARSE_BINS
from irene_model.secure import dimensions, grid_of_evaluation, grid_of_training, unflatten
from irene_model.study import HeldOut, site_rate
from irene_model.weights import new_model, trained_names
from server.evaluation import pool_sum
from server.rounds.metrics_replies import Answers
from server.rounds.secure_attempt import Question, SecureSums, Summed
from server.runs import Json, now
from server.secure import TRAIN, MaskedSum, check_gradients, check_histograms, secure_of

_MOST_REFUSED = 3
_LATER = ("missing", "failed", "absent")  # of a site that may evaluate at another time


@dataclass(kw_only=True)
class SecureRounds:
    """Steps and evaluations of one run."""

    sums: SecureSums
    _trained: tuple[str, ...] = field(init=False)
    _refused: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        """Raise ConfigError for a study without a roster, and for one that 32 bits can't hold."""
        study = self.sums.folder.study
        if secure_of(study).roster is None:
            raise ConfigError(
                "federation.secure.roster: name the file of who takes part, which `irene-server "
                "roster` writes; sites mask for each other and must know whom"
            )
        model = new_model(study, seed=0)
        self._trained = trained_names(model)
        grid_of_training(study, sum(model.get_parameter(name).numel() for name in self._trained))

    def take(self, round: int, weights: Arrays, earlier: Json) -> tuple[Json, Arrays | None]:
        """A try at `round`: its line, and the mean update; None where too few sites sent.

        Raises IreneError once several sums in a row were refused: each was charged to all sites.
        """
        folder, pace = self.sums.folder, self.sums.pace
        study, started, line_started = folder.study, time.monotonic(), now()
        like = {name: weights[name] for name in self._trained}
        grid = grid_of_training(study, dimensions(like))

        def read(masked: MaskedSum, sites: int) -> Array:
            total = masked.read(grid)
            check_gradients(total, study, sites=sites)
            return total

        summed = self.sums.ask(
            Question(
                what=TRAIN,
                request=TrainRequest.about(
                    study,
                    run=folder.info["run"],
                    round=round,
                    arrays=weights,
                    wire=study.federation.wire_down,
                ),
                reply=TrainReply,
                dimensions=dimensions(like),
                patience_s=pace.patience_s,
                read=read,
            )
        )
        line: Json = {
            "round": round,
            "started": line_started,
            "seconds": time.monotonic() - started,
            "sites": {**earlier, **summed.entries},
            "secure": self.sums.attempts.of(TRAIN, round),
            "late": [],
            "bytes_down": summed.bytes_down,
            "bytes_up": summed.bytes_up,
            "evaluation": None,
        }
        self._refused = self._refused + 1 if summed.refused else 0
        if self._refused >= _MOST_REFUSED:
            raise IreneError(
                f"round {round}: {self._refused} sums in a row were refused, the last since "
                f"{summed.refused}. Each was charged to all sites; resume the run without the "
                "site that you suspect"
            )
        if summed.total is None:
            return line, None
        return line, self._update(summed.total, like, site_rate(study, round))

    def metrics(self, round: int, split: HeldOut, weights: Arrays) -> Answers:
        """Metrics of all sites' patients of `split` together; without a sum nothing has a value.

        Raises IreneError where there is no sum of test patients and a site may send at another
        time. A validation that fails is passed over: another attempt would be charged, too.
        """
        folder = self.sums.folder
        study, labels = folder.study, folder.study.labels
        grid, shape = grid_of_evaluation(study, split), (len(labels), 2, COARSE_BINS)

        def deviation(sites: int) -> float:
            return grid.deviation * grid.unit * float(np.sqrt(sites))

        def read(masked: MaskedSum, sites: int) -> Array:
            histograms = masked.read(grid).reshape(shape)
            check_histograms(histograms, study, split, sites=sites, deviation=deviation(sites))
            return histograms

        summed = self.sums.ask(
            Question(
                what=split,
                request=EvaluateRequest.about(
                    study,
                    run=folder.info["run"],
                    round=round,
                    split=split,
                    arrays=weights,
                    wire=study.federation.wire_down if split == "validation" else "float32",
                ),
                reply=EvaluateReply,
                dimensions=int(np.prod(shape)),
                patience_s=lambda _: study.federation.round_deadline_s,
                read=read,
            )
        )
        if summed.total is None and split == "test" and _may_come(summed):
            reasons = "; ".join(f"{s}: {e['reason']}" for s, e in summed.entries.items())
            raise IreneError(
                f"no sum of the sites' evaluations of round {round} ({summed.refused or reasons})"
            )
        nothing = np.zeros(shape)
        return Answers(
            evaluation=pool_sum(
                nothing if summed.total is None else summed.total,
                deviation(len(summed.sites)),
                labels,
                np.random.default_rng([folder.info["seed"], round]),
                prior=study.model.prior,
            ),
            sites=_entries(summed),
            attempts=tuple(self.sums.attempts.of(split, round)),
        )

    def _update(self, total: Array, like: Mapping[str, Array], rate: float) -> Arrays:
        """One step of SGD along the mean gradient of the expected batch."""
        batch = self.sums.folder.study.training.expected_batch
        step = total * (-rate / batch)
        return unflatten(step.astype(np.float32), like)


def _may_come(summed: Summed) -> bool:
    outcomes = {entry["outcome"] for entry in summed.entries.values()}
    return not summed.refused and bool(outcomes & set(_LATER))


def _entries(summed: Summed) -> dict[str, dict[str, object]]:
    """What becomes of each site; of one whose histograms no sum holds, why not."""
    found = {}
    for site, entry in summed.entries.items():
        entry = {key: entry[key] for key in entry if key not in ("seconds", "waited_s", "bytes_up")}
        if entry["outcome"] == "evaluated" and site not in summed.sites:
            why = summed.refused or "another site of the sum did not send"
            entry |= {"outcome": "discarded", "reason": why}
        found[site] = entry | {"withheld": []}
    return found
