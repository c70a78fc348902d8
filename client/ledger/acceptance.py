"""Beginning anew after a ledger was lost: what shows the loss, what it costs, and doing it.

Nobody knows what a lost ledger held. It never let all charges together exceed the site's budget, so
that is what is charged (`client.ledger.loss`); the new ledger then declines every round until the
budget is raised. What is left of the old files is set aside, as evidence.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from client.consent import journal_of, user
from client.ledger.head import head_path
from client.ledger.history import History
from client.ledger.ledger import Ledger
from client.ledger.ledger_file import LedgerFile
from client.ledger.ledger_key import key_path
from client.ledger.loss import Loss
from client.ledger.witnesses import LOSS, contradictions, rounds_by_run
from client.site import Site
from irene_model.errors import ConfigError, DataError, LedgerError, LedgerLost
from irene_model.journal import Entry


@dataclass(frozen=True, kw_only=True)
class Finding:
    """problems: what shows that a ledger was lost. loss: what accepting it charges."""

    problems: tuple[str, ...]
    loss: Loss


def find_loss(site: Site) -> Finding:
    """What was lost at `site`.

    Raises ConfigError where nothing shows a loss: whoever accepts one would lose a budget in vain.
    """
    lines = _readable_lines(site)
    try:
        history = Ledger.seen(site)
        problems = [] if history is None else contradictions(lines, history)
    except LedgerLost as error:
        history, problems = _remains(site), [str(error)]
    if not problems:
        raise ConfigError(
            f"{site.resolve(site.ledger)}: nothing contradicts this ledger, so there is no loss to "
            "accept; an older copy of all files together is known by the coordinator's next message"
        )
    return Finding(problems=tuple(problems), loss=_loss(site, lines, history))


def accept_loss(site: Site, loss: Loss) -> Sequence[Path]:
    """Set aside what is left of the ledger and begin one that is charged with `loss`.

    The journal comes first: a crash between leaves a ledger that is still refused. Returns the
    files that were set aside. The site's node must not run.
    """
    ledger, journal = site.resolve(site.ledger), journal_of(site)
    aside = []
    try:
        journal.entries()
    except (DataError, OSError, UnicodeDecodeError):
        aside.append(_set_aside(journal.path))
    epsilon, alone = (e if math.isfinite(e) else None for e in (loss.epsilon, loss.alone))
    more = {} if alone == epsilon else {"alone": alone}
    journal.append(LOSS, who=user(), number=loss.number, epsilon=epsilon, delta=loss.delta, **more)
    for path in (ledger, ledger.with_name(f"{ledger.name}-journal"), head_path(ledger),
                 key_path(ledger)):  # fmt: skip
        if path.exists():
            aside.append(_set_aside(path))
    Ledger.begin(site, loss)
    return aside


def _loss(site: Site, lines: Sequence[Entry], remains: History | None) -> Loss:
    """The largest budgets that site.yaml or the journal names, and all rounds that anyone knows.

    Where no budget for secure sums was named there were none: then both are the same.
    """
    known = [_facts(line) for line in lines]
    epsilons, alone, deltas = _named(site)
    for facts in known:
        if "budget" in facts:
            epsilons.append(facts["budget"])
            alone.append(facts.get("budget_alone", facts["budget"]))
            deltas.append(facts["budget_delta"])
    earlier = [facts["number"] for line, facts in zip(lines, known, strict=True)
               if line.kind == LOSS]  # fmt: skip
    runs = rounds_by_run(lines)
    if remains is not None:
        earlier.append(remains.loss.number)
        for run in {r.run for r in remains.reservations} | set(remains.loss.runs):
            runs[run] = max(runs.get(run, 0), remains.rounds_charged(run))
    return Loss(
        number=1 + max(earlier, default=0),
        epsilon=_largest(epsilons),
        alone=_largest([*epsilons, *alone]),
        delta=max(float(delta or 0.0) for delta in deltas),
        runs=runs,
    )


def _named(site: Site) -> tuple[list[float | None], list[float | None], list[float | None]]:
    """What site.yaml says now of epsilon, epsilon alone and delta; None: no bound."""
    if site.budget == "none":
        return [None], [None], [None]
    return [site.budget.epsilon], [site.budget.alone or site.budget.epsilon], [site.budget.delta]


def _largest(bounds: Sequence[float | None]) -> float:
    return max(math.inf if each is None else float(each) for each in bounds)


def _remains(site: Site) -> History | None:
    """What the ledger's file says by itself, where it can be read at all."""
    ledger = LedgerFile(site.resolve(site.ledger))
    try:
        if not ledger.path.exists():
            return None
        with ledger.read() as now:
            return now.history
    except LedgerError:
        return None


def _readable_lines(site: Site) -> Sequence[Entry]:
    try:
        return journal_of(site).entries()
    except (DataError, OSError, UnicodeDecodeError):
        return ()


def _set_aside(path: Path) -> Path:
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
    place = path.with_name(f"{path.name}.lost-{stamp}")
    number = 1
    while place.exists():
        number += 1
        place = path.with_name(f"{path.name}.lost-{stamp}-{number}")
    return path.rename(place)


def _facts(line: Entry) -> Mapping[str, Any]:
    facts: dict[str, Any] = json.loads(line.content)
    return facts
