"""An evaluation as the server sees it: each site's answer, and all histograms pooled.

Metrics are not what a run is for: a site that declines to send any is named with its reason, and
the run goes on without them.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from irene_model.errors import IreneError, ProtocolError
from irene_model.exchange import Arrays, EvaluateReply, EvaluateRequest
from irene_model.study import HeldOut, one_line
from server.aggregation import Declared
from server.evaluation import Evaluation, SiteHistograms, pool
from server.rounds.answer_bounds import check_evaluation
from server.rounds.attendance import Roll
from server.rounds.exchange import Exchange, Reply
from server.runs import Json, RunFolder, finite

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Answers:
    """sites: name -> outcome, reason, and of one that evaluated its noise, epsilon and gaps.

    attempts: those at a secure sum.
    """

    evaluation: Evaluation
    sites: Mapping[str, Json]
    attempts: Sequence[Json] = ()

    @property
    def summary(self) -> Json:
        """`evaluation` of a line in rounds.jsonl."""
        told = {**self.evaluation.summary, "sites": dict(self.sites)}
        return told | ({"secure": list(self.attempts)} if self.attempts else {})


def ask_for_metrics(
    exchange: Exchange,
    roll: Roll,
    folder: RunFolder,
    *,
    round: int,
    split: HeldOut,
    weights: Arrays,
    declared: Declared,
) -> Answers:
    """All sites' score histograms on their patients of `split`, pooled.

    declared: what the sites have said of themselves in the run. Raises IreneError where no site
    evaluated and one of them may do so later: it did not answer, or all of them failed.
    """
    study = folder.study
    request = EvaluateRequest.about(
        study,
        run=folder.info["run"],
        round=round,
        split=split,
        arrays=weights,
        # The numbers of the end are those of the checkpoint, whatever way its weights would travel.
        wire=study.federation.wire_down if split == "validation" else "float32",
    )
    patience = dict.fromkeys(roll.nodes, study.federation.round_deadline_s)
    histograms: dict[str, SiteHistograms] = {}
    entries: dict[str, Json] = {}
    names = dict(roll.sites)
    declared.evaluators.update(roll.evaluators)  # of them no update says it
    for reply in exchange.ask(request, patience):
        site = names[reply.node]
        if not reply.heard:
            roll.missed(reply.node, f"{reply.reason} of an evaluation after round {round}")
        try:
            answer = _read(reply, site, round, study.fingerprint)
            entries[site] = {"outcome": answer.outcome, "reason": answer.reason}
            if answer.outcome == "evaluated":
                read = SiteHistograms.read(site, answer, len(study.labels))
                check_evaluation(answer, read, study, split, declared)
                histograms[site] = read
                entries[site] |= _facts(answer, read.withheld(study.labels))
        except ProtocolError as error:
            entries[site] = {"outcome": _without(reply), "reason": one_line(str(error))}
        if entries[site]["outcome"] != "evaluated":
            _log.warning(
                "evaluation after round %d, site %s: %s", round, site, entries[site]["reason"]
            )
    outcomes = {entry["outcome"] for entry in entries.values()}
    if not histograms and ("missing" in outcomes or outcomes == {"failed"}):
        reasons = "; ".join(f"{site}: {entry['reason']}" for site, entry in entries.items())
        raise IreneError(f"no site evaluated the weights of round {round} ({reasons})")
    evaluation = pool(
        histograms,
        study.labels,
        np.random.default_rng([folder.info["seed"], round]),
        prior=study.model.prior,
    )
    return Answers(evaluation=evaluation, sites=entries)


def _facts(answer: EvaluateReply, withheld: list[str]) -> Json:
    """What the line says of a site that evaluated."""
    entry: Json = {"noise_multiplier": answer.noise_multiplier, "withheld": withheld}
    if answer.noise_multiplier:
        entry["epsilon_told"] = finite(answer.epsilon_run)
        entry["epsilon_total"] = finite(answer.epsilon_total)
    return entry


def _without(reply: Reply) -> str:
    """What became of a site of which nothing is used."""
    if reply.malformed:
        return "refused"
    if not reply.heard:
        return "missing"
    return "failed" if reply.flat is None else "refused"


def _read(reply: Reply, site: str, round: int, fingerprint: str) -> EvaluateReply:
    if reply.flat is None:
        raise ProtocolError(reply.reason)
    answer = EvaluateReply.from_flat(reply.flat)
    if (answer.site, answer.round) != (site, round):
        raise ProtocolError("the reply is of another site or another round")
    if answer.fingerprint != fingerprint:
        raise ProtocolError("the reply is of another study")
    return answer
