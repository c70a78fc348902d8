"""Every release that leaves a site, in its journal: for which run and study, and which bytes."""

import hashlib
import json
import math
from dataclasses import dataclass

from client.consent import journal_of
from client.site import Budget, Site
from client.training.training import pack
from irene_model.errors import ProtocolError
from irene_model.exchange import EvaluateReply, EvaluateRequest, TrainReply, TrainRequest
from irene_model.journal import Fact, Journal
from irene_model.study import Split, Study


@dataclass(frozen=True, kw_only=True)
class Releases:
    """server: the address that the node is connected to, "" where nobody said one.

    budget: the site's, so that the journal knows the largest there ever was; None for none.
    """

    journal: Journal
    server: str = ""
    budget: Budget | None = None

    @classmethod
    def of(cls, site: Site, server: str) -> "Releases":
        """Those of a node."""
        budget = None if site.budget == "none" else site.budget
        return cls(journal=journal_of(site), server=server, budget=budget)

    def check_first(self, request: EvaluateRequest) -> None:
        """Raise ProtocolError for a test where another round's was released: a study has one.

        That of the start, round 0, is apart: a study that has it names it.

        The ledger knows noised ones itself; exact ones are charged to none.
        """
        for line in self.journal.entries() if request.split == "test" else ():
            facts = json.loads(line.content)
            if (facts.get("run"), facts.get("split")) != (request.run, "test"):
                continue
            known: int = facts["round"]
            if known != request.round and bool(known) == bool(request.round):
                raise ProtocolError(
                    f"the run evaluated its test patients after round {known}, and a study does "
                    "so once"
                )

    def note_answer(
        self, reply: TrainReply | EvaluateReply, request: TrainRequest | EvaluateRequest
    ) -> None:
        """`note` the reply to `request`."""
        split = request.split if isinstance(request, EvaluateRequest) else "train"
        study = Study.from_canonical(request.study)
        self.note(reply, study=study, run=request.run, split=split)

    def note(
        self,
        reply: TrainReply | EvaluateReply,
        *,
        study: Study,
        run: str,
        split: Split = "train",
    ) -> None:
        """Note `reply` before it leaves. What can't be noted must not leave: this raises.

        The hash is that of the bytes that the ledger keeps; what is sent again gets a line again.
        """
        facts: dict[str, Fact] = {
            "run": run,
            "round": reply.round,
            "split": split,
            "server": self.server,
            "study": study.name,
            "fingerprint": study.fingerprint,
            "sha256": hashlib.sha256(pack(reply.arrays)).hexdigest(),
            "noise_multiplier": reply.noise_multiplier,
            "budget": None if self.budget is None else self.budget.epsilon,
            "budget_delta": None if self.budget is None else self.budget.delta,
            "epsilon_total": _finite(reply.epsilon_total),
        }
        if self.budget is not None and self.budget.alone is not None:
            facts["budget_alone"] = self.budget.alone
        if reply.attempt:  # of a secure sum
            facts |= {"attempt": reply.attempt, "epsilon_alone": _finite(reply.epsilon_alone)}
        what = "update released" if isinstance(reply, TrainReply) else "evaluation released"
        self.journal.append(what, who=f"run {run}", **facts)


def _finite(epsilon: float) -> float | None:
    return epsilon if math.isfinite(epsilon) else None
