"""The coordinator's status in the terminal."""

from datetime import datetime

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from irene_model.console import ago, figure, span
from server.watch.run_progress import RunProgress
from server.watch.status import Status

_SYMBOLS = {
    "updated": "[green]✓[/green]",
    "declined": "[yellow]⊘[/yellow]",
    "refused": "[red]✕[/red]",
    "failed": "[red]![/red]",
    "missing": "[yellow]○[/yellow]",
    "discarded": "[blue]◷[/blue]",
    "waiting": "[blue]…[/blue]",
    "absent": "[yellow]–[/yellow]",
}
_ROUNDS = 12


def show(status: Status, console: Console) -> None:
    """Write `status` to `console`: what is broken first."""
    for problem in status.problems:
        console.print(f"[red]✕ {escape(problem)}[/red]", soft_wrap=True)
    for warning in status.warnings:
        console.print(f"[yellow]! {escape(warning)}[/yellow]", soft_wrap=True)
    if status.well:
        console.print("[green]✓ everything runs[/green]")
    if status.processes:
        console.print(_processes(status))
    if status.sites:
        console.print(_sites(status))
    else:
        console.print("No site is enrolled: irene-server enroll --help")
    for run in status.runs[:1]:
        _show_run(run, status.at, console)
    for run in status.runs[1:6]:
        console.print(f"{escape(run.name)}: {run.state}, {run.done} of {run.rounds} rounds")
    if len(status.runs) > 6:
        console.print(f"and {len(status.runs) - 6} older runs")
    if not status.runs:
        console.print(f"No run yet: irene-server run {escape(status.place)} STUDY.yaml")


def _processes(status: Status) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("process", "state", "since", "restarts"):
        table.add_column(column, justify="right" if column == "restarts" else "left")
    for name, process in status.processes.items():
        told = {**status.health, "gateway": status.gateway}
        state: str = told.get(name, "up") if process.alive else "down"
        good = state in ("serving", "up")
        since = ago(datetime.fromisoformat(process.started), status.at) if process.alive else ""
        colour = "green" if good else "red"
        table.add_row(name, f"[{colour}]{state}[/{colour}]", since, str(process.restarts))
    return table


def _sites(status: Status) -> Table:
    asked = status.runs[0].asked_epsilon if status.runs else None
    alone = any(site.part and site.part.epsilon_alone is not None for site in status.sites)
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("site", "connected", "last seen", "newest rounds"):
        table.add_column(column)
    for column in ("epsilon", "left", *(("if all others collude",) if alone else ())):
        table.add_column(column, justify="right")
    words = {True: "[green]yes[/green]", False: "[yellow]no[/yellow]", None: "unknown"}
    for site in status.sites:
        part = site.part
        outcomes = part.outcomes[-_ROUNDS:] if part else ()
        left = part.left(asked) if part else None
        table.add_row(
            escape(site.name),
            words[site.online],
            ago(site.last_seen, status.at) if site.last_seen else "never",
            "".join(_SYMBOLS.get(o or "", "·") for o in outcomes)
            + (f" {escape(part.outcome)}" if part and part.outcome else ""),
            figure(part.epsilon if part else None, 2, unknown=""),
            figure(left, 2, unknown=""),
            *([figure(part.epsilon_alone if part else None, 2, unknown="")] if alone else []),
        )
    return table


def _show_run(run: RunProgress, at: datetime, console: Console) -> None:
    if run.state == "unreadable":
        return  # it is among the problems
    pace = "" if run.seconds_a_round is None else f", {span(run.seconds_a_round)} a round"
    console.print(
        f"Run [bold]{escape(run.name)}[/bold] of the study {escape(run.study)}: {run.state}, round "
        f"{run.done} of {run.rounds}{pace}",
        highlight=False,
        soft_wrap=True,
    )
    console.print(ProgressBar(total=run.rounds, completed=run.done, width=50))
    console.print()  # a bar ends no line
    if run.expected_end is not None:
        console.print(
            f"expected end {run.expected_end:%Y-%m-%d %H:%M} UTC, in "
            f"{span((run.expected_end - at).total_seconds())}",
            highlight=False,
        )
