"""One secure sum: who is in it, asked until all of them have sent or too few are left.

Who is in is settled right before an attempt, and the attempt is on disk before anybody is asked. A
site that then sends nothing that can be added costs the attempt: it is named with the reason, the
attempt stays charged, and the rest begin another with fresh patients, masks and noise. What comes
of an earlier attempt afterwards is thrown away: the masks in it fit no other.
"""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from irene_model.errors import ProtocolError
from irene_model.exchange import Array, EvaluateReply, EvaluateRequest, TrainReply, TrainRequest
from irene_model.secure import sample_rate
from irene_model.study import one_line, travelling_bytes
from server.rounds.attendance import Roll
from server.rounds.charged import Charged
from server.rounds.exchange import Exchange, Reply
from server.rounds.gathering import reply_in_time
from server.rounds.pace import Pace
from server.runs import Json, RunFolder, finite
from server.secure import (
    ABORTED,
    REFUSED,
    SUMMED,
    TRAIN,
    Attempts,
    Benched,
    MaskedSum,
    noise_among,
    secure_of,
)

_log = logging.getLogger(__name__)
_TOLERANCE = 0.01
_SPARED = ("declined", "waiting")  # said before anything is charged
_OUTSIDE = "the site is not in the study's roster"


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is summed: D `dimensions` of replies to `request`, to which attempt and partners come.

    what: "train", or the split of an evaluation. patience_s: of each site, by name. read: the sum
    of so many sites, judged; a ProtocolError refuses it.
    """

    what: str
    request: TrainRequest | EvaluateRequest
    reply: type[TrainReply] | type[EvaluateReply]
    dimensions: int
    patience_s: Callable[[str], float]
    read: Callable[[MaskedSum, int], Array]


@dataclass(kw_only=True)
class Summed:
    """What came of a question. total: None where there is no sum. sites: who is in it.

    attempts: the records of all attempts. entries: the last word of each site. refused: why a sum
    was refused as a whole, of which no site can be named.
    """

    total: Array | None = None
    sites: tuple[str, ...] = ()
    attempts: list[Json] = field(default_factory=list)
    entries: dict[str, Json] = field(default_factory=dict)
    refused: str = ""
    bytes_down: int = 0
    bytes_up: int = 0


@dataclass(kw_only=True)
class SecureSums:
    """Asks for the secure sums of one run."""

    exchange: Exchange
    roll: Roll
    folder: RunFolder
    pace: Pace
    attempts: Attempts
    charged: Charged
    _benched: Mapping[bool, Benched] = field(init=False)  # of training, and of evaluations

    def __post_init__(self) -> None:
        """Take up who cost attempts before."""
        lines = self.folder.rounds()
        evaluations = [(line["round"], line.get("evaluation") or {}) for line in lines]
        self._benched = {
            True: Benched((line["round"], line) for line in lines),
            False: Benched(evaluations),
        }

    def ask(self, question: Question) -> Summed:
        """A sum of all that are here, or of those that are left where some send nothing."""
        result, spoilt = Summed(), set[str]()
        while True:
            here = self._members(question, spoilt)
            if len(here) < self.folder.study.federation.minimum_sites:
                break
            blamed = self._attempt(question, here, result)
            if not blamed:
                break
            spoilt |= blamed
            self.roll.greet()
        result.entries = {**self._others(question), **result.entries}
        return result

    def _members(self, question: Question, spoilt: set[str]) -> dict[int, str]:
        """Node -> site of those to be asked, in the order of names."""
        roster = secure_of(self.folder.study).roster
        assert roster is not None
        known = {member.name for member in roster.members}
        asked = self.roll.trainers if question.what == TRAIN else self.roll.nodes
        here = {n: self.roll.sites[n] for n in asked}
        here = {n: site for n, site in here.items() if site in known and site not in spoilt}
        benched = self._benched[question.what == TRAIN]
        for resting in (benched.resting(question.request.round), benched.for_good()):
            members = {node: site for node, site in here.items() if site not in resting}
            if len(members) >= self.folder.study.federation.minimum_sites:
                break
        return members

    def _others(self, question: Question) -> dict[str, Json]:
        """The entries of sites that were not asked."""
        roster = secure_of(self.folder.study).roster
        assert roster is not None
        known = {member.name for member in roster.members}
        outside = {
            site: {"outcome": "absent", "reason": _OUTSIDE, "asked": False}
            for site in self.roll.sites.values()
            if site not in known
        }
        resting = self._benched[question.what == TRAIN].resting(question.request.round)
        others = self.roll.not_training() if question.what == TRAIN else {}
        return self.roll.absences() | outside | resting | others

    def _attempt(self, question: Question, here: dict[int, str], result: Summed) -> set[str]:
        """One attempt with the sites in `here`, added to `result`; gives those that spoilt it."""
        about, names = question.request, sorted(here.values())
        record = self.attempts.begin(question.what, about.round, names)
        request = about.model_copy(
            update={"attempt": record["attempt"], "partners": ",".join(names)}
        )
        patience = {node: question.patience_s(site) for node, site in here.items()}
        counts = {node: self.charged.rounds(site) for node, site in here.items()}
        sent = self.exchange.send(
            request, patience, charged=counts if question.what == TRAIN else None
        )
        a_message = travelling_bytes(about.arrays, about.wire)
        masked = MaskedSum(question.dimensions)
        entries: dict[str, Json] = {}
        for message in sent:
            site = here[message.node]
            message, reply = reply_in_time(
                self.exchange,
                message,
                request,
                overdue_s=self.pace.overdue_s(site),
                patience_s=patience[message.node],
            )
            entries[site] = self._entry(question, request, reply, site, masked)
            if reply.heard:
                self.pace.took(site, reply.seconds)
            else:
                self.roll.missed(message.node, f"{reply.reason} in round {about.round}")
            result.bytes_up += reply.bytes
            result.bytes_down += a_message * len(message.identifiers)
            del reply  # one vector in memory at a time: the next one may be there already
        blamed = {site: entries[site]["reason"] for site in names if site not in masked.sites}
        for site, reason in blamed.items():
            self._benched[question.what == TRAIN].note(site, about.round, entries[site])
            _log.warning(
                "round %d, %s, attempt %d is lost by site %s: %s",
                *(about.round, question.what, record["attempt"], site, reason),
            )
        outcome, reason = (ABORTED, "") if blamed else (SUMMED, "")
        if not blamed:
            try:
                result.total = question.read(masked, len(names))
                result.sites = tuple(names)
            except ProtocolError as error:
                outcome, reason = REFUSED, one_line(str(error))
                _log.error("round %d, %s: %s", about.round, question.what, reason)
        spared = [site for site, entry in entries.items() if entry["outcome"] in _SPARED]
        ended = self.attempts.end(record, outcome, blamed=blamed, spared=spared, reason=reason)
        result.attempts.append(ended)
        result.refused = reason
        result.entries |= entries
        return set(blamed)

    def _entry(
        self,
        question: Question,
        request: TrainRequest | EvaluateRequest,
        reply: Reply,
        site: str,
        masked: MaskedSum,
    ) -> Json:
        """What the line says of `site`; a good vector is added to `masked`."""
        entry: Json = {
            "outcome": "missing" if reply.missing else "refused" if reply.malformed else "failed",
            "reason": reply.reason,
            "seconds": reply.seconds,
            "bytes_up": reply.bytes,
        }
        if not reply.missing:
            entry["waited_s"] = reply.seconds
        if reply.flat is None:
            return entry
        try:
            answer = question.reply.from_flat(reply.flat)
            self._check(answer, request, site)
            if answer.outcome == answer.gives:
                self._check_noise(answer, question.what, len(request.names))
                masked.add(site, answer.arrays)
            entry |= _facts(answer)
        except ProtocolError as error:
            return {**entry, "outcome": "refused", "reason": one_line(str(error))}
        return entry | self.charged.heard(site, entry)

    def _check(
        self,
        answer: TrainReply | EvaluateReply,
        request: TrainRequest | EvaluateRequest,
        site: str,
    ) -> None:
        """Raise ProtocolError for an answer to another question, or with an impossible account."""
        if (answer.site, answer.round) != (site, request.round):
            raise ProtocolError("the reply is of another site or another round")
        if answer.attempt != request.attempt:
            raise ProtocolError("the reply is of another attempt, and its masks fit no other")
        if answer.fingerprint != request.fingerprint:
            raise ProtocolError("the reply is of another study")
        rounds = self.folder.study.federation.rounds
        if isinstance(answer, TrainReply) and answer.rounds_charged > rounds:
            raise ProtocolError(f"the reply counts more rounds than the study's {rounds}")

    def _check_noise(self, answer: TrainReply | EvaluateReply, what: str, sites: int) -> None:
        """Raise ProtocolError where the site counts on other noise than follows from who is in."""
        study = self.folder.study
        planned = noise_among(study, what, sites)
        if not math.isclose(answer.noise_multiplier, planned, rel_tol=_TOLERANCE):
            raise ProtocolError("the reply's noise multiplier is not the one that the study asks")
        if isinstance(answer, TrainReply) and not math.isclose(
            answer.sample_rate, sample_rate(study), rel_tol=_TOLERANCE
        ):
            raise ProtocolError("the reply's sampling rate is not the one that the study asks")


def _facts(answer: TrainReply | EvaluateReply) -> Json:
    """What the line says of a site besides its vector."""
    entry: dict[str, Any] = {
        "outcome": str(answer.outcome),
        "reason": answer.reason,
        "code": answer.code,
        "seconds": answer.seconds,
    }
    if isinstance(answer, TrainReply) and answer.rounds_charged >= 0:
        entry["rounds_charged"] = answer.rounds_charged
    if answer.outcome == answer.gives:
        entry["noise_multiplier"] = answer.noise_multiplier
        if isinstance(answer, TrainReply):
            entry["sample_rate"] = answer.sample_rate
        if answer.noise_multiplier:
            entry |= {
                "epsilon_told": finite(answer.epsilon_run),
                "epsilon_total": finite(answer.epsilon_total),
                "epsilon_alone_told": finite(answer.epsilon_alone),
            }
    return entry
