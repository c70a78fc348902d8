"""How a hospital's node stands right now: process, connection, consent, budget, last releases.

Changes nothing: where there is no ledger or journal yet, none is created.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from client.budget import BudgetReport, read_budget
from client.consent import Asked, Consent
from client.gateway import (
    Progress,
    Reading,
    explained,
    kept,
    last_progress,
    log_file,
    node_folder,
    remembered,
)
from client.ledger import Ledger, contradictions
from client.node.node_processes import NodeProcess, node_processes
from client.site import Site
from irene_model.errors import ConfigError, DataError, LedgerError
from irene_model.journal import Journal
from irene_model.operations import supervisor_of

_RELEASES = ("update released", "evaluation released")
_NEWEST = 5


@dataclass(frozen=True, kw_only=True)
class Release:
    """Something that left the site, by its journal. sha256: of the bytes of its arrays."""

    what: str
    time: str
    run: str
    round: int
    study: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class NodeStatus:
    """One look. problems: what is broken, and what to do. todo: what waits for the site's people.

    supervisor: its process, None where the node was not started. server: of the last start, None
    before the first; proxy: the way to it. clock: the newest look at the coordinator's. budget:
    None where the ledger can't be trusted, as `problems` then say.
    """

    site: str
    at: datetime
    supervisor: int | None
    processes: tuple[NodeProcess, ...]
    server: str | None
    proxy: str | None
    clock: Reading | None
    connection: Progress
    paused: bool
    studies: tuple[Asked, ...]
    budget: BudgetReport | None
    releases: tuple[Release, ...]
    problems: tuple[str, ...]
    todo: tuple[str, ...] = ()

    @property
    def well(self) -> bool:
        """Whether nothing is broken: the command's exit code."""
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        """Plain mappings, lists and numbers; times as ISO 8601 in UTC."""
        budget = self.budget
        return {
            "schema": 2,
            "site": self.site,
            "at": self.at.isoformat(timespec="seconds"),
            "well": self.well,
            "problems": list(self.problems),
            "todo": list(self.todo),
            "supervisor": self.supervisor,
            "processes": {each.name: each.as_json() for each in self.processes},
            "server": self.server,
            "proxy": self.proxy,
            "connection": self.connection.state,
            "clock_behind_s": None if self.clock is None else self.clock.offset,
            "paused": self.paused,
            "studies": [
                {
                    "study": asked.study.name,
                    "fingerprint": asked.fingerprint,
                    "first_asked": asked.first,
                    "approved": asked.approved,
                }
                for asked in self.studies
            ],
            "budget": None if budget is None else budget.as_json(),
            "releases": [vars(release) for release in self.releases],
        }


def look(site: Site, now: datetime | None = None) -> NodeStatus:
    """All that can be known of the node of `site`, without asking the coordinator."""
    broken: list[str] = []
    consent, folder = Consent.of(site), node_folder(site)
    connection = None
    try:
        connection = remembered(site)
    except ConfigError as error:
        broken.append(str(error))
    studies: tuple[Asked, ...] = ()
    releases: tuple[Release, ...] = ()
    budget = None
    try:
        studies = tuple(consent.requests())
    except DataError as error:
        broken.append(str(error))
    try:
        releases = _newest_releases(consent.journal)
    except DataError as error:
        broken.append(str(error))
    try:
        budget = read_budget(site)
        if (history := Ledger.seen(site)) is not None:
            broken += contradictions(consent.journal.entries(), history)
    except (LedgerError, DataError) as error:
        broken.append(str(error))
    status = NodeStatus(
        site=site.site,
        at=now or datetime.now(UTC),
        supervisor=supervisor_of(folder),
        processes=node_processes(site, connection),
        server=None if connection is None else connection.server,
        proxy=None if connection is None else connection.proxy,
        clock=kept(folder),
        connection=explained(site, last_progress(log_file(site))),
        paused=consent.paused,
        studies=studies,
        budget=budget,
        releases=releases,
        problems=(),
    )
    problems = (*broken, *_problems(status))
    return replace(status, problems=problems, todo=tuple(_todo(status)))


def _problems(status: NodeStatus) -> Iterator[str]:
    """The first that is broken of a chain, in which each link needs the one before."""
    if status.supervisor is None:
        yield "the node is not started: irene-client start"
        return
    clock = status.clock
    if clock is not None and clock.complaint and not clock.helps:
        yield clock.complaint
    ill = next(filter(None, (each.problem(status.at) for each in status.processes)), "")
    if ill:
        yield ill
    elif status.connection.state not in ("connected", "starting"):
        yield status.connection.sentence


def _todo(status: NodeStatus) -> Iterator[str]:
    if status.supervisor is not None and status.clock is not None and status.clock.helps:
        yield from filter(None, [status.clock.complaint])
    for asked in status.studies:
        if not asked.approved:
            yield (
                f"the study '{asked.study.name}' waits for your approval: "
                f"irene-client approve {asked.fingerprint[:12]}"
            )
    if status.paused:
        yield "the site is paused: irene-client resume"
    if status.budget is not None and status.budget.left == 0:
        why = " for a ledger that was lost" if status.budget.loss else ""
        yield f"the privacy budget is spent{why}: the site declines every further round"
    elif status.budget is not None and status.budget.left_alone == 0:
        yield (
            "the privacy budget for secure sums (budget.alone) is spent: the site declines every "
            "further attempt"
        )


def _newest_releases(journal: Journal) -> tuple[Release, ...]:
    """The last few, the newest first."""
    found: Sequence[Release] = [
        _release(entry.kind, json.loads(entry.content))
        for entry in journal.entries()
        if entry.kind in _RELEASES
    ]
    return tuple(reversed(found[-_NEWEST:]))


def _release(kind: str, facts: dict[str, Any]) -> Release:
    return Release(
        what=kind,
        time=str(facts["time"]),
        run=str(facts["run"]),
        round=int(facts["round"]),
        study=str(facts["study"]),
        sha256=str(facts["sha256"]),
    )
