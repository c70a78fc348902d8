"""How a hospital's node stands right now: process, connection, consent, budget, last releases.

Changes nothing: where there is no ledger or journal yet, none is created.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from client.budget import BudgetReport, read_budget
from client.consent import (
    Asked,
    Consent,
    Progress,
    last_progress,
    log_file,
    node_folder,
    remembered,
)
from client.gateway import explained
from client.site import Site
from irene_model.errors import ConfigError, DataError, LedgerError
from irene_model.operations import (
    Health,
    Journal,
    Running,
    keeps_ending,
    probe,
    running,
    supervisor_of,
)

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
    before the first. budget: None where the ledger can't be trusted, as `problems` then say.
    """

    site: str
    at: datetime
    supervisor: int | None
    process: Running | None
    health: Health | None
    server: str | None
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
        process, budget = self.process, self.budget
        return {
            "schema": 1,
            "site": self.site,
            "at": self.at.isoformat(timespec="seconds"),
            "well": self.well,
            "problems": list(self.problems),
            "todo": list(self.todo),
            "supervisor": self.supervisor,
            "process": None
            if process is None
            else {
                "alive": process.alive,
                "pid": process.pid,
                "started": process.started,
                "restarts": process.restarts,
                "health": self.health,
            },
            "server": self.server,
            "connection": self.connection.state,
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
    server, health = None, None
    try:
        connection = remembered(site)
        if connection is not None:
            server, health = connection.server, probe(connection.health)
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
    except LedgerError as error:
        broken.append(str(error))
    status = NodeStatus(
        site=site.site,
        at=now or datetime.now(UTC),
        supervisor=supervisor_of(folder),
        process=next(iter(running(folder).values()), None),
        health=health,
        server=server,
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
    if status.supervisor is None:
        yield "the node is not started: irene-client start"
    elif status.process is None or not status.process.alive:
        yield "the node's process has ended and is being started again; see its log"
    elif keeps_ending(status.process, status.at):
        yield f"the node's process keeps ending, {status.process.restarts} restarts; see its log"
    elif status.health != "serving":
        yield f"the node's process is {status.health}; see its log"
    elif status.connection.state not in ("connected", "starting"):
        yield status.connection.sentence


def _todo(status: NodeStatus) -> Iterator[str]:
    for asked in status.studies:
        if not asked.approved:
            yield (
                f"the study '{asked.study.name}' waits for your approval: "
                f"irene-client approve {asked.fingerprint[:12]}"
            )
    if status.paused:
        yield "the site is paused: irene-client resume"
    if status.budget is not None and status.budget.left == 0:
        yield "the privacy budget is spent: the site declines every further round"


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
