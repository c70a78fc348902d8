"""The node's status in the terminal."""

from datetime import datetime

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from client.budget import alone_sentence, bar, loss_sentence, number
from client.gateway import shown
from client.node.status import NodeStatus
from irene_model.console import ago


def show(status: NodeStatus, console: Console) -> None:
    """Write `status` to `console`: what is broken first, then what waits for people."""
    for problem in status.problems:
        console.print(f"[red]✕ {escape(problem)}[/red]", soft_wrap=True)
    for task in status.todo:
        console.print(f"[yellow]! {escape(task)}[/yellow]", soft_wrap=True)
    if status.well:
        console.print(f"[green]✓ the node of {status.site} runs[/green]")
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="dim")
    facts.add_column(overflow="fold")
    for name, value in _facts(status):
        facts.add_row(name, escape(value))
    console.print(facts)
    if status.budget is not None and status.budget.budget is not None:
        console.print(bar(status.budget.spent.smallest, status.budget.budget))
        console.print()  # a bar ends no line
    if status.studies:
        console.print(_studies(status))
    if status.releases:
        console.print(_releases(status))


def _facts(status: NodeStatus) -> list[tuple[str, str]]:
    facts = [
        ("coordinator", f"{status.server}{shown(status.proxy)}" if status.server else "none yet")
    ]
    if status.supervisor is not None:
        facts.append(("connection", status.connection.sentence))
        for each in status.processes:
            if each.running is not None:
                since = ago(datetime.fromisoformat(each.running.started), status.at)
                state = f"{each.health}, since {since}, {each.running.restarts} restarts"
                facts.append((each.name, state))
    budget = status.budget
    if budget is not None and budget.budget is None:
        facts.append(("privacy", f"no budget; epsilon {number(budget.spent.smallest)} so far"))
    elif budget is not None:
        spent, left = number(budget.spent.smallest), number(budget.left or 0.0)
        facts.append(("privacy", f"epsilon {spent} of {budget.budget:g} spent, {left} left"))
    if budget is not None and budget.spent_alone is not None:
        facts.append(("", alone_sentence(budget)))
    if budget is not None and budget.loss is not None:
        facts.append(("lost ledger", loss_sentence(budget.loss)))
    return facts


def _studies(status: NodeStatus) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("study", "fingerprint", "first asked", ""):
        table.add_column(column)
    for asked in status.studies:
        state = "[green]approved[/green]" if asked.approved else "[yellow]waits for you[/yellow]"
        first = ago(datetime.fromisoformat(asked.first), status.at)
        table.add_row(escape(asked.study.name), asked.fingerprint[:12], first, state)
    return table


def _releases(status: NodeStatus) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("left the site", "when", "study", "run", "round"):
        table.add_column(column, justify="right" if column == "round" else "left")
    for release in status.releases:
        table.add_row(
            release.what.removesuffix(" released"),
            ago(datetime.fromisoformat(release.time), status.at),
            escape(release.study),
            escape(release.run),
            str(release.round),
        )
    return table
