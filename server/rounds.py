"""The round loop: invite, gather, judge, aggregate, checkpoint, evaluate.

Every round names every site and what became of it. A round's checkpoint is on disk before the
next begins, so a killed server resumes from the last whole round; sites that had already released
that round's update send the same bytes again.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from irene_model.errors import IreneError, ProtocolError
from irene_model.protocol import Arrays, TrainReply, TrainRequest
from irene_model.records import HeldOut
from irene_model.schedule import server_rate
from irene_model.weights import new_model, trained_names
from server.aggregation import WeightedMean, norm
from server.answers import Answers, ask_for_metrics
from server.exchange import Exchange
from server.roll import Roll
from server.runs import Json, RunFolder, finite, now
from server.spending import spending
from server.strategies import strategy_for

_log = logging.getLogger(__name__)
Observer = Callable[[Json], None]


@dataclass(kw_only=True)
class RoundLoop:
    """One run, from its last whole round to the end.

    expected_sites: wait for so many before the first round, at most `patience_s` seconds, as
    long as the study's minimum is there.
    """

    exchange: Exchange
    folder: RunFolder
    expected_sites: int = 0
    patience_s: float = 60.0
    observe: Observer | None = None
    roll: Roll = field(init=False)
    _trained: tuple[str, ...] = field(init=False)  # what an update must hold

    def __post_init__(self) -> None:
        """The roll starts empty, also when a run is resumed: sites may have changed nodes."""
        self.roll = Roll(
            exchange=self.exchange, study=self.folder.study, run=self.folder.info["run"]
        )
        self._trained = trained_names(new_model(self.folder.study, seed=0))

    def run(self) -> Json:
        """Train all rounds that are left, evaluate on the test patients, and give the results."""
        study, folder = self.folder.study, self.folder
        started = time.monotonic() - folder.info.get("seconds", 0.0)  # of earlier sessions
        weights = folder.load_checkpoint(folder.last_round)
        strategy = strategy_for(study, folder.load_state(folder.last_round))
        self.roll.wait(self.expected_sites, self.patience_s)
        for round in range(folder.last_round + 1, study.federation.rounds + 1):
            self.roll.greet()
            line, mean = self._train(round, weights)
            if mean is None:
                self._record_without_progress(line)
                break
            weights = strategy.apply(weights, mean, server_rate(study, round))
            folder.save_checkpoint(round, weights, strategy.state)
            line |= {"update_norm": norm(mean), "checkpoint": f"checkpoints/round-{round:04d}"}
            if study.federation.evaluated(round):
                line["evaluation"] = self._evaluate(round, weights, "validation").summary
            folder.append_round(line)
            folder.update_info(seconds=time.monotonic() - started)
            self._report(line)
        answers = self._evaluate(folder.last_round, weights, "test")
        return self._results(answers, time.monotonic() - started)

    def _report(self, line: Json) -> None:
        _log.info("round %d took %.1f s", line["round"], line["seconds"])
        if self.observe is not None:
            self.observe(line)

    def _train(self, round: int, weights: Arrays) -> tuple[Json, Arrays | None]:
        """One round's line, and the mean update if enough sites gave one."""
        study, started = self.folder.study, time.monotonic()
        request = TrainRequest(
            study=study.canonical, run=self.folder.info["run"], round=round, arrays=weights
        )
        mean = WeightedMean({name: weights[name] for name in self._trained})
        down = sum(a.nbytes for a in weights.values())
        line: Json = {
            "round": round,
            "started": now(),
            "seconds": 0.0,
            "sites": self.roll.absences(),
            "bytes_down": down * len(self.roll.sites),
            "bytes_up": 0,
            "evaluation": None,
        }
        for reply in self.exchange.ask(
            self.roll.nodes, request, deadline_s=study.federation.round_deadline_s
        ):
            site = self.roll.sites[reply.node]
            entry: Json = {"outcome": "missing" if reply.missing else "failed"}
            entry |= {"reason": reply.reason, "seconds": reply.seconds, "bytes_up": 0}
            if reply.flat is not None:
                entry["bytes_up"] = sum(a.nbytes for a in reply.flat.arrays.values())
                try:
                    entry |= _judge(TrainReply.from_flat(reply.flat), site, round, mean)
                except ProtocolError as error:
                    entry |= {"outcome": "refused", "reason": str(error)}
            if entry["outcome"] != "updated":
                _log.warning("round %d, site %s: %s", round, site, entry["reason"])
            line["sites"][site] = entry
            line["bytes_up"] += entry["bytes_up"]
        line["seconds"] = time.monotonic() - started
        enough = mean.count >= study.federation.minimum_sites
        return line, mean.mean() if enough else None

    def _record_without_progress(self, line: Json) -> None:
        """Too few updates: keep the line; stop for good only if the budgets are the reason."""
        outcomes = {site: entry["outcome"] for site, entry in line["sites"].items()}
        if "declined" not in outcomes.values() or line["round"] == 1:
            reasons = "; ".join(
                f"{s}: {e['reason']}" for s, e in line["sites"].items() if e["reason"]
            )
            raise IreneError(
                f"round {line['round']}: fewer than {self.folder.study.federation.minimum_sites} "
                f"sites gave an update ({reasons}). Nothing is lost: resume the run when they can"
            )
        line |= {"update_norm": None, "checkpoint": None}
        self.folder.append_round(line)
        self.folder.update_info(stopped=f"round {line['round']}: too few sites have budget left")
        self._report(line)

    def _evaluate(self, round: int, weights: Arrays, split: HeldOut) -> Answers:
        return ask_for_metrics(
            self.exchange, self.roll, self.folder, round=round, split=split, weights=weights
        )

    def _results(self, answers: Answers, seconds: float) -> Json:
        """The contents of results.json."""
        study, lines = self.folder.study, self.folder.rounds()
        arm = {
            "model": study.model.method,
            "rounds": self.folder.last_round,
            "seconds": round(seconds, 1),
            **answers.evaluation.as_dict(),
            "evaluation": {"sites": dict(answers.sites)},
            "privacy": spending(
                lines, answers.sites, study, restarted=self.folder.info.get("restarted", ())
            ),
        }
        return {
            "schema": 1,
            "labels": list(study.labels),
            "sites": self.roll.names,
            "arms": {self.folder.info["arm"]: arm},
        }


def _judge(reply: TrainReply, site: str, round: int, mean: WeightedMean) -> Json:
    """Add a good update to `mean`; what the round's line says of the site."""
    if (reply.site, reply.round) != (site, round):
        raise ProtocolError("the reply is of another site or another round")
    outcome, reason = str(reply.outcome), reply.reason
    if outcome == "updated":
        if not reply.sample_rate:
            raise ProtocolError("the reply does not say at which rate patients took part")
        try:
            mean.add(reply.arrays, reply.weight)
        except ProtocolError as error:
            outcome, reason = "refused", str(error)
    entry = {
        "outcome": outcome,
        "reason": reason,
        "seconds": reply.seconds,
        "weight": reply.weight,
    }
    if reply.rounds_charged >= 0:
        entry["rounds_charged"] = reply.rounds_charged
    if reply.outcome != "updated":
        return entry
    return entry | {
        "noise_multiplier": reply.noise_multiplier,
        "sample_rate": reply.sample_rate,
        "epsilon": finite(reply.epsilon_run),
        "epsilon_total": finite(reply.epsilon_total),
    }
