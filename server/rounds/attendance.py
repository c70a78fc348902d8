"""Who takes part: the nodes that answered, by the name of their site, and those that can't serve.

A node is asked who it is when it appears, and nobody waits for its answer but the run's beginning:
it is looked for at the next greeting. A site that can't serve the study is left out and named in
every round, with its reason; so is an enrolled site that never came, one that went away, and one
that missed a round, until it answers again. Nobody is left out in silence, one site's trouble ends
no run, and a dead site costs nothing after the first miss.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from irene_model.errors import ConfigError, IreneError, ProtocolError
from irene_model.exchange import HelloReply, HelloRequest
from irene_model.study import Study
from server.rounds.enrolled_nodes import RegisterFile
from server.rounds.exchange import Exchange, Reply, Sent
from server.runs import Json

_log = logging.getLogger(__name__)
_PAUSE_S = 0.5
# Seconds until a site that can't serve is asked again; each time starts a process there.
_AGAIN_S = {"waiting": 10.0, "declined": 600.0, "absent": 0.0}
_AGAIN_ELSE_S = 60.0
_GREETING_S = 600.0
_EVALUATES = "the site only evaluates"
_GREETED = "the site is connected and has not answered its greeting yet"


@dataclass(kw_only=True)
class _LeftOut:
    site: str
    outcome: str
    reason: str
    since: float


@dataclass(kw_only=True)
class Roll:
    """The sites of one run. `sites` holds those that are here: node -> site.

    evaluators: of those that never train, site -> its declared number of held-out patients. They
    are asked for evaluations alone and count nothing for what a round needs.
    """

    exchange: Exchange
    study: Study
    run: str
    register: RegisterFile = field(default_factory=lambda: RegisterFile(None))
    sites: dict[int, str] = field(default_factory=dict)
    evaluators: dict[str, float] = field(default_factory=dict)
    _left_out: dict[int, _LeftOut] = field(default_factory=dict)
    _knocks: dict[int, Sent] = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)

    @property
    def nodes(self) -> list[int]:
        """The nodes that are here, in the order of their sites' names."""
        return sorted(self.sites, key=self.sites.__getitem__)

    @property
    def trainers(self) -> list[int]:
        """Of `nodes` those whose sites train."""
        return [node for node in self.nodes if self.sites[node] not in self.evaluators]

    @property
    def names(self) -> list[str]:
        """Every site that is enrolled or was ever here, in order."""
        return sorted(self._known | set(self.register.now().sites))

    def wait(
        self,
        expected: int,
        patience_s: float,
        *,
        forever: bool = False,
        observe: Callable[[], None] | None = None,
    ) -> None:
        """Wait for `expected` sites; after `patience_s` seconds the study's minimum is enough.

        observe: called after each look while there are fewer.
        Raises IreneError where fewer take part than the study needs, or so many nodes can't serve
        the study that the minimum is missed, unless it is to wait `forever`.
        """
        minimum = self.study.federation.needed_sites
        if 0 < expected < minimum and not forever:
            raise ConfigError(
                f"{expected} sites take part and the study needs {minimum}, by its "
                f"federation.minimum_sites and its strategy {self.study.federation.strategy}; add "
                "sites, or change the study"
            )
        expected = max(expected, minimum)
        deadline = time.monotonic() + patience_s
        shown = -1
        while len(self.sites) < expected or len(self.trainers) < minimum:
            self.greet()
            if len(self.sites) != shown:
                shown = len(self.sites)
                _log.info("%d sites are here; waiting for %d", shown, expected)
            asked = bool(self._knocks)  # a site may be reading its files for the first time
            if len(self.sites) + len(self._left_out) >= expected and not asked and not forever:
                break  # all have come, and waiting mends no site
            if time.monotonic() > deadline and len(self.trainers) >= minimum and not asked:
                break
            if len(self.sites) < expected or len(self.trainers) < minimum:
                if observe is not None:
                    observe()
                time.sleep(_PAUSE_S)
        if len(self.trainers) < minimum:
            told = [f"{e.site}: {e.reason}" for e in self._left_out.values()]
            told += [f"{site}: {_EVALUATES}" for site in sorted(self.evaluators)]
            raise IreneError(
                f"{len(self.trainers)} sites can serve the study and it needs {minimum} "
                f"({'; '.join(told)})"
            )
        if len(self.sites) < expected:
            _log.warning("going on with %d of %d sites", len(self.sites), expected)

    def greet(self) -> None:
        """Hear who has answered, ask new nodes who they are, and forget those that have gone."""
        present = self.exchange.nodes()
        for node in [n for n in (*self.sites, *self._left_out, *self._knocks) if n not in present]:
            self.sites.pop(node, None)
            self._left_out.pop(node, None)
            self._knocks.pop(node, None)  # a node that comes back is asked anew
        self._knock([node for node in present if self._to_be_asked(node)])
        for node, sent in list(self._knocks.items()):
            reply = self.exchange.poll(sent)
            if reply is None and not self._expired(sent):
                continue
            del self._knocks[node]
            try:
                if reply is None or reply.flat is None:
                    raise ProtocolError("no reply to a greeting" if reply is None else reply.reason)
                self._enter(reply)
            except ProtocolError as error:
                silent, before = reply is None or reply.flat is None, self._left_out.get(node)
                if silent and before is not None:
                    before.since = time.monotonic()  # nothing new of a site that is named already
                    continue
                site = self.register.now().site_of(node) or f"node {node}"
                self._leave_out(node, site, "failed" if silent else "refused", str(error))

    def missed(self, node: int, reason: str) -> None:
        """`node` gave no reply in a round: nobody waits for it again until it answers."""
        self._leave_out(node, self.sites.pop(node), "absent", f"{reason}; not asked since")

    def heard(self, node: int, site: str) -> None:
        """`node`, which had missed a round, is alive: its late update came."""
        if node in self._left_out and site not in self.sites.values():
            del self._left_out[node]
            self._knocks.pop(node, None)
            self.sites[node] = site

    def not_training(self) -> dict[str, Json]:
        """Entries of a round's line for the sites that are here and never train."""
        entry: Json = {"outcome": "declined", "reason": _EVALUATES, "asked": False}
        return {site: dict(entry) for site in self.sites.values() if site in self.evaluators}

    def absences(self) -> dict[str, Json]:
        """The sites that can't be asked for a round: name -> its entry in the round's line."""
        here, register = set(self.sites.values()), self.register.now()
        greeted = {register.site_of(node) for node in self._knocks}
        gone = {
            site: {
                "outcome": "absent",
                "reason": _GREETED if site in greeted else "the site is not connected",
                "asked": False,
            }
            for site in self.names
            if site not in here
        }
        left_out = {
            e.site: {"outcome": e.outcome, "reason": e.reason, "asked": False}
            for e in self._left_out.values()
            if e.site not in here
        }
        return gone | left_out

    def _to_be_asked(self, node: int) -> bool:
        if node in self.sites or node in self._knocks:
            return False
        left = self._left_out.get(node)
        if left is None:
            return True
        return time.monotonic() - left.since >= _AGAIN_S.get(left.outcome, _AGAIN_ELSE_S)

    def _knock(self, nodes: list[int]) -> None:
        request = HelloRequest.about(self.study, run=self.run)
        patience = dict.fromkeys(nodes, self._greeting_s)
        for sent in self.exchange.send(request, patience):
            self._knocks[sent.node] = sent

    @property
    def _greeting_s(self) -> float:
        """How long a greeting is good for: a site may read all its files before it answers."""
        return max(_GREETING_S, self.study.federation.round_deadline_s)

    def _expired(self, sent: Sent) -> bool:
        return time.monotonic() - sent.time > self._greeting_s

    def _enter(self, reply: Reply) -> None:
        assert reply.flat is not None
        hello = HelloReply.from_flat(reply.flat)
        self.register.now().check(hello.site, reply.node)
        if hello.outcome != "ready":
            self._leave_out(reply.node, hello.site, hello.outcome, hello.reason)
        elif hello.site in self.sites.values():
            raise ProtocolError(f"a second node says that it is the site '{hello.site}'")
        else:
            self._note_role(hello)
            self._left_out.pop(reply.node, None)
            self.sites[reply.node] = hello.site
            self._known.add(hello.site)
            _log.info("site %s is here", hello.site)

    def _note_role(self, hello: HelloReply) -> None:
        most = self.study.federation.largest_cohort
        if most is not None and hello.only_evaluates > most:
            raise ProtocolError(
                f"the site declares {hello.only_evaluates:g} patients to evaluate on, the study "
                f"allows {most:g}"
            )
        if hello.only_evaluates > 0:
            self.evaluators[hello.site] = hello.only_evaluates
        else:
            self.evaluators.pop(hello.site, None)

    def _leave_out(self, node: int, site: str, outcome: str, reason: str) -> None:
        before = self._left_out.get(node)
        self._left_out[node] = _LeftOut(
            site=site, outcome=outcome, reason=reason, since=time.monotonic()
        )
        if before is None or (before.outcome, before.reason) != (outcome, reason):
            _log.warning("%s is left out: %s", site, reason)
