"""Every release that leaves a site, in its journal: for which run and study, and which bytes."""

import hashlib
import math
from dataclasses import dataclass

from client.training import pack
from irene_model.exchange import EvaluateReply, TrainReply
from irene_model.operations import Fact, Journal
from irene_model.study import Study


@dataclass(frozen=True, kw_only=True)
class Releases:
    """server: the address that the node is connected to, "" where nobody said one."""

    journal: Journal
    server: str = ""

    def note(self, reply: TrainReply | EvaluateReply, *, study: Study, run: str) -> None:
        """Note `reply` before it leaves. What can't be noted must not leave: this raises.

        The hash is that of the bytes that the ledger keeps; what is sent again gets a line again.
        """
        facts: dict[str, Fact] = {
            "run": run,
            "round": reply.round,
            "server": self.server,
            "study": study.name,
            "fingerprint": study.fingerprint,
            "sha256": hashlib.sha256(pack(reply.arrays)).hexdigest(),
            "noise_multiplier": reply.noise_multiplier,
            "epsilon_total": reply.epsilon_total if math.isfinite(reply.epsilon_total) else None,
        }
        what = "update released" if isinstance(reply, TrainReply) else "evaluation released"
        self.journal.append(what, who=f"run {run}", **facts)
