"""Who takes part: the nodes that answered, by the name of their site, and those that can't serve.

A node is asked once, when it appears. A site that can't serve the study is left out and named in
every round, with its reason; so is a site that was here and went away. Nobody is left out in
silence, and one site's trouble ends no run.
"""

import logging
import time
from dataclasses import dataclass, field

from irene_model.errors import IreneError, ProtocolError
from irene_model.protocol import HelloReply, HelloRequest
from irene_model.study import Study
from server.exchange import Exchange, Reply
from server.runs import Json

_log = logging.getLogger(__name__)
_PAUSE_S = 0.5


@dataclass(kw_only=True)
class Roll:
    """The sites of one run. `sites` holds those that are here: node -> site."""

    exchange: Exchange
    study: Study
    run: str
    sites: dict[int, str] = field(default_factory=dict)
    _left_out: dict[int, Json] = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)

    @property
    def nodes(self) -> list[int]:
        """The nodes that are here, in the order of their sites' names."""
        return sorted(self.sites, key=self.sites.__getitem__)

    @property
    def names(self) -> list[str]:
        """Every site that was ever here, in order."""
        return sorted(self._known)

    def wait(self, expected: int, patience_s: float) -> None:
        """Wait for `expected` sites; after `patience_s` seconds the study's minimum is enough.

        Raises IreneError where so many nodes can't serve the study that the minimum is missed.
        """
        minimum = self.study.federation.minimum_sites
        expected = max(expected, minimum)
        deadline = time.monotonic() + patience_s
        shown = -1
        while len(self.sites) < expected:
            self.greet()
            if len(self.sites) != shown:
                shown = len(self.sites)
                _log.info("%d sites are here; waiting for %d", shown, expected)
            if len(self.sites) + len(self._left_out) >= expected:
                break  # all have come, and waiting mends no site
            if time.monotonic() > deadline and len(self.sites) >= minimum:
                break
            if len(self.sites) < expected:
                time.sleep(_PAUSE_S)
        if len(self.sites) < minimum:
            reasons = "; ".join(f"{e['site']}: {e['reason']}" for e in self._left_out.values())
            raise IreneError(
                f"{len(self.sites)} sites can serve the study and it needs {minimum} ({reasons})"
            )
        if len(self.sites) < expected:
            _log.warning("going on with %d of %d sites", len(self.sites), expected)

    def greet(self) -> None:
        """Ask new nodes who they are, and forget those that have gone."""
        present = self.exchange.nodes()
        self.sites = {node: site for node, site in self.sites.items() if node in present}
        self._left_out = {node: e for node, e in self._left_out.items() if node in present}
        new = [node for node in present if node not in self.sites and node not in self._left_out]
        request = HelloRequest(study=self.study.canonical, run=self.run)
        deadline = self.study.federation.round_deadline_s
        for reply in self.exchange.ask(new, request, deadline_s=deadline) if new else ():
            try:
                self._enter(reply)
            except ProtocolError as error:
                self._leave_out(reply.node, f"node {reply.node}", "failed", str(error))

    def absences(self) -> dict[str, Json]:
        """The sites that can't be asked for a round: name -> its entry in the round's line."""
        here = set(self.sites.values())
        gone = {
            site: {"outcome": "absent", "reason": "the site is not connected"}
            for site in self.names
            if site not in here
        }
        left_out = {
            e["site"]: {"outcome": e["outcome"], "reason": e["reason"]}
            for e in self._left_out.values()
            if e["site"] not in here
        }
        return gone | left_out

    def _enter(self, reply: Reply) -> None:
        if reply.flat is None:
            raise ProtocolError(reply.reason)
        hello = HelloReply.from_flat(reply.flat)
        if hello.outcome != "ready":
            self._leave_out(reply.node, hello.site, hello.outcome, hello.reason)
        elif hello.site in self.sites.values():
            raise ProtocolError(f"a second node says that it is the site '{hello.site}'")
        else:
            self.sites[reply.node] = hello.site
            self._known.add(hello.site)
            _log.info("site %s is here", hello.site)

    def _leave_out(self, node: int, site: str, outcome: str, reason: str) -> None:
        self._left_out[node] = {"site": site, "outcome": outcome, "reason": reason}
        _log.warning("%s is left out: %s", site, reason)
