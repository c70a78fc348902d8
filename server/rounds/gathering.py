"""One round's updates: who is asked, how long each is waited for, and what came, judged and added.

An update that comes after its site's time waits in Flower's store and is looked for in the next
rounds. Of one site and round at most one reply is ever added: a round that is asked for again
forgets the message before, and the site's ledger sends the same bytes for both.

Flower's store forgets all messages of a server whose process was lost. So what is still to come is
in run.json, and a server that is started anew asks the site for what it has released already.
"""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from irene_model.errors import ProtocolError
from irene_model.exchange import Arrays, EvaluateRequest, TrainReply, TrainRequest
from irene_model.study import HeldOut, one_line, travelling_bytes
from server.aggregation import Judge, Tally, facts, tally_for
from server.rounds.attendance import Roll
from server.rounds.charged import Charged
from server.rounds.exchange import Exchange, Reply, Sent
from server.rounds.metrics_replies import Answers, ask_for_metrics
from server.rounds.pace import Pace
from server.runs import Json, RunFolder, may_be_charged, now

_log = logging.getLogger(__name__)
_CHARGES = ("noise_multiplier", "sample_rate", "rounds_charged")


@dataclass(frozen=True, kw_only=True)
class Pending:
    """A round that `site` was asked for and has not answered.

    sent: None in a server that was started anew. until: Unix time after which it is forgotten.
    """

    sent: Sent | None
    site: str
    round: int
    until: float


@dataclass(kw_only=True)
class Gathering:
    """Gathers the updates of one run, round by round."""

    exchange: Exchange
    roll: Roll
    folder: RunFolder
    judge: Judge
    pace: Pace
    _pending: list[Pending] = field(init=False)
    _charged: Charged = field(init=False)

    def __post_init__(self) -> None:
        """Take up what a server before this one still waited for, and what the sites have told."""
        self._pending = list(_still_awaited(self.folder.info.get("late")))
        rounds = self.folder.study.federation.rounds
        self._charged = Charged(self.folder.rounds(), most=rounds)

    def take(self, round: int, weights: Arrays, earlier: Json) -> tuple[Json, Arrays | None]:
        """A try at `round`: its line, and what the updates agree on; None where too few came."""
        tally = tally_for(self.folder.study, weights, self.folder.path / "updates")
        self.judge.begin(weights)
        line = self.gather(round, weights, tally, earlier)
        enough = len(tally.sites) >= self.folder.study.federation.needed_sites
        return line, tally.result() if enough else None

    def metrics(self, round: int, split: HeldOut, weights: Arrays) -> Answers:
        """All sites' evaluations of `weights`; IreneError where none can be had now."""
        return ask_for_metrics(
            self.exchange,
            self.roll,
            self.folder,
            round=round,
            split=split,
            weights=weights,
            declared=self.judge.declared,
        )

    def gather(self, round: int, weights: Arrays, tally: Tally, earlier: Json) -> Json:
        """Ask all sites that are here for `round`, add what is good to `tally`, give the line.

        earlier: the sites' entries of an attempt at this round that had too few updates, {} in
        the first. `tally.sites` are those that gave an update of this round.
        """
        study, started = self.folder.study, time.monotonic()
        line: Json = {
            "round": round,
            "started": now(),
            "seconds": 0.0,
            "sites": self.roll.absences() | self.roll.not_training(),
            "late": [],
            "bytes_down": 0,
            "bytes_up": 0,
            "evaluation": None,
        }
        self._pending = [each for each in self._pending if each.round < round]
        self._ask_for_earlier()
        request = TrainRequest.about(
            study,
            run=self.folder.info["run"],
            round=round,
            arrays=weights,
            wire=study.federation.wire_down,
        )
        names = dict(self.roll.sites)
        patience = {node: self.pace.patience_s(names[node]) for node in self.roll.trainers}
        sent = self.exchange.send(
            request,
            patience,
            keep_s=study.federation.round_deadline_s,
            charged={node: self._charged.rounds(names[node]) for node in patience},
        )
        a_message = travelling_bytes(weights, request.wire)
        line["bytes_down"] = a_message * len(sent)
        for message in sent:
            site = names[message.node]
            message, reply = reply_in_time(
                self.exchange,
                message,
                request.model_copy(update={"rounds_charged": self._charged.rounds(site)}),
                overdue_s=self.pace.overdue_s(site),
                patience_s=patience[message.node],
                keep_s=study.federation.round_deadline_s,
            )
            entry = self._entry(reply, site, round, tally)
            if reply.missing:
                until = time.time() - reply.seconds + patience[message.node]
                until += study.federation.round_deadline_s
                self._pending.append(Pending(sent=message, site=site, round=round, until=until))
                self._remember()
            if reply.heard:
                self.pace.took(site, reply.seconds)
            else:
                self.roll.missed(message.node, f"{reply.reason} in round {round}")
            line["sites"][site] = entry
            line["bytes_up"] += reply.bytes
            line["bytes_down"] += a_message * (len(message.identifiers) - 1)
            del reply  # one update in memory at a time: the next one may be there already
        if len(tally.sites) >= study.federation.needed_sites:  # else the round is tried again
            for late, reply in self._late_replies(round):
                line["late"].append(self._late_entry(late, reply, round, tally))
                line["bytes_up"] += reply.bytes
                if reply.heard:
                    self.roll.heard(reply.node, late.site)
        for site, before in earlier.items():
            line["sites"][site] = _with_earlier(line["sites"].get(site, {}), before)
        line["seconds"] = time.monotonic() - started
        return line

    def _entry(self, reply: Reply, site: str, round: int, tally: Tally) -> Json:
        """What the line says of `site`; a good update is added."""
        entry: Json = {
            "outcome": "missing" if reply.missing else "refused" if reply.malformed else "failed",
            "reason": reply.reason,
            "seconds": reply.seconds,
            "bytes_up": reply.bytes,
        }
        if not reply.missing:
            entry["waited_s"] = reply.seconds
        if reply.flat is not None:
            entry |= self._judged(reply, site, round, tally, factor=1.0, late=False)
            entry |= self._charged.heard(site, entry)
        if entry["outcome"] != "updated":
            _log.warning("round %d, site %s: %s", round, site, entry["reason"])
        return entry

    def _ask_for_earlier(self) -> None:
        """Where a server before this one waited, ask for what the site has released since."""
        study, nodes = self.folder.study, {site: node for node, site in self.roll.sites.items()}
        for each in [each for each in self._pending if each.sent is None]:
            if study.federation.discount is None or time.time() > each.until:
                self._pending.remove(each)
            elif each.site in nodes:
                request = TrainRequest.about(
                    study, run=self.folder.info["run"], round=each.round, again=True
                )
                patience = {nodes[each.site]: self.pace.patience_s(each.site)}
                keep_s = study.federation.round_deadline_s
                (sent,) = self.exchange.send(request, patience, keep_s=keep_s)
                self._pending[self._pending.index(each)] = replace(each, sent=sent)
        self._remember()

    def _remember(self) -> None:
        """Keep what is still to come for a server that is started anew."""
        told = [{"site": p.site, "round": p.round, "until": p.until} for p in self._pending]
        if told != self.folder.info.get("late", []):
            self.folder.update_info(late=told)

    def _late_replies(self, round: int) -> Iterator[tuple[Pending, Reply]]:
        """Replies to earlier rounds that are there now, in the order of rounds and sites' names."""
        earlier = (each for each in self._pending if each.round < round)
        for each in sorted(earlier, key=lambda p: (p.round, p.site)):
            reply = None if each.sent is None else self.exchange.poll(each.sent)
            if reply is None:
                continue
            self._pending.remove(each)
            self._remember()
            if reply.flat is not None:
                self.pace.took(each.site, reply.seconds)
            yield each, reply

    def _late_entry(self, late: Pending, reply: Reply, round: int, tally: Tally) -> Json:
        """What the line says of a late update, which is used or discarded as the study says."""
        discount = self.folder.study.federation.discount
        factor = None if discount is None else discount ** (round - late.round)
        entry: Json = {
            "outcome": "failed",
            "reason": reply.reason,
            "site": late.site,
            "round": late.round,
            "waited_s": reply.seconds,
            "bytes_up": reply.bytes,
        }
        if reply.flat is not None:
            entry |= self._judged(reply, late.site, late.round, tally, factor=factor, late=True)
            if entry["outcome"] == "updated" and factor is None:
                entry |= {"outcome": "discarded", "reason": "it came too late; the study says so"}
            elif entry["outcome"] == "updated":
                entry["discount"] = factor
        _log.warning(
            "site %s answered round %d late, after %.0f s: %s",
            late.site,
            late.round,
            reply.seconds,
            entry["outcome"],
        )
        return entry

    def _judged(
        self, reply: Reply, site: str, round: int, tally: Tally, *, factor: float | None, late: bool
    ) -> Json:
        """Judge a reply whole and add its update with `factor` times its weight; None: don't.

        Of a reply that is refused nothing is used: no number of it is known to be true.
        """
        assert reply.flat is not None
        try:
            answer = TrainReply.from_flat(reply.flat)
            self.judge.check_identity(answer, site, round)
            if answer.outcome != "updated":
                return facts(answer)
            update = self.judge.contribution(answer, factor=1.0 if factor is None else factor)
        except ProtocolError as error:
            return {"outcome": "refused", "reason": one_line(str(error))}
        if factor is not None:
            tally.add(update, late=late)
        return facts(answer) | {"norm": update.norm}


def reply_in_time(
    exchange: Exchange,
    message: Sent,
    request: TrainRequest | EvaluateRequest,
    *,
    overdue_s: float,
    patience_s: float,
    keep_s: float = 60.0,
) -> tuple[Sent, Reply]:
    """The reply to `message`; one that is overdue is asked for again, once.

    Asking twice costs nothing but a start of the client: the ledger sends the same bytes.
    """
    reply = exchange.wait(message, min(patience_s, overdue_s))
    if not reply.missing or reply.seconds >= patience_s:
        return message, reply
    _log.info("round %d, node %d: overdue, asked again", request.round, message.node)
    message = exchange.send_again(message, request, patience_s, keep_s=keep_s)
    return message, exchange.wait(message, patience_s)


def _still_awaited(told: Any) -> Iterator[Pending]:
    """What run.json names; an entry that no server wrote is passed over, and ends no run."""
    for each in told if isinstance(told, list) else ():
        match each:
            case {"site": str(site), "round": int(round), "until": int() | float() as until}:
                yield Pending(sent=None, site=site, round=round, until=float(until))


def _with_earlier(entry: Json, before: Json) -> Json:
    """`entry`, with what an earlier attempt at the round told of charges."""
    if not entry or "rounds_charged" in entry or "noise_multiplier" in entry:
        return entry or before
    if not may_be_charged(entry) and may_be_charged(before):
        entry = {**{key: before[key] for key in _CHARGES if key in before}, **entry, "asked": True}
    return entry
