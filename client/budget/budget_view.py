"""The budget in the terminal: a bar, and a table of runs."""

import math

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from client.budget.budget import BudgetReport, Outlook
from client.consent import plain
from client.ledger import Loss
from irene_model.console import figure


def show(report: BudgetReport, console: Console) -> None:
    """Write `report` to `console`."""
    at = f"at delta {report.delta:g}, patient-level"
    if report.budget is None:
        console.print(
            f"Site {report.site} has no budget (`budget: none` in site.yaml): nothing limits what "
            f"runs spend. Epsilon so far {number(report.spent.smallest)} {at}",
            highlight=False,
            soft_wrap=True,
        )
    else:
        console.print(
            f"Site {report.site}: epsilon {number(report.spent.smallest)} of {report.budget:g} "
            f"spent, {number(report.left or 0.0)} left ({at})",
            highlight=False,
            soft_wrap=True,
        )
        console.print(bar(report.spent.smallest, report.budget))
        console.print()  # a bar ends no line
    console.print(
        f"by RDP {number(report.spent.rdp)}, by PRV {number_or_unknown(report.spent.prv)}; "
        "the smaller counts",
        soft_wrap=True,
    )
    if report.loss is not None:
        console.print(loss_sentence(report.loss), highlight=False, soft_wrap=True)
    if report.runs:
        console.print(
            "Patients of training, validation and test are counted apart; the most counts."
        )
        console.print(_runs(report))
    else:
        console.print("No round has been charged yet.")
    if report.outlook is not None:
        _show_outlook(report.outlook, report.budget, console)


def loss_sentence(loss: Loss) -> str:
    """What was charged for lost ledgers, and what it means."""
    runs = f", of runs {', '.join(map(plain, loss.runs))}" if loss.runs else ""
    return (
        f"Epsilon {number(loss.epsilon)} at delta {loss.delta:g} of it is charged for a ledger "
        f"that was lost{runs}: only what the budget in site.yaml allows beyond that can be spent"
    )


def _runs(report: BudgetReport) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("run", no_wrap=True)
    for column in ("rounds", "evaluations", "noise", "rate", "steps", "RDP", "PRV", "epsilon"):
        table.add_column(column, justify="right")
    for run in report.runs:
        table.add_row(
            escape(run.run),
            str(run.rounds),
            str(run.evaluations),
            "mixed" if run.noise_multiplier is None else f"{run.noise_multiplier:.3g}",
            "mixed" if run.sample_rate is None else f"{run.sample_rate:.3g}",
            str(run.steps),
            number(run.epsilon.rdp),
            number_or_unknown(run.epsilon.prv),
            number(run.epsilon.smallest),
        )
    return table


def _show_outlook(outlook: Outlook, budget: float | None, console: Console) -> None:
    mechanism = outlook.mechanism
    console.print(
        f"Study {escape(outlook.study)}: noise multiplier {mechanism.noise_multiplier:.3g}, rate "
        f"{mechanism.sample_rate:.3g}, {mechanism.steps} steps a round; the next round brings "
        f"epsilon to {number(outlook.after_next_round.smallest)}",
        highlight=False,
        soft_wrap=True,
    )
    if budget is not None:
        console.print(
            f"{outlook.rounds_left} of a run's {outlook.rounds} rounds fit into what is left. A "
            f"whole run, its evaluations included, would bring epsilon to "
            f"{number(outlook.after_all)}.",
            highlight=False,
            soft_wrap=True,
        )


def bar(spent: float, budget: float) -> ProgressBar:
    """What is spent of a budget, as a share: the bar reckons with no number of any size."""
    return ProgressBar(total=1.0, completed=min(1.0, spent / budget), width=50)


def number_or_unknown(value: float | None) -> str:
    """An epsilon that could perhaps not be computed."""
    return "unknown" if value is None else number(value)


def number(value: float) -> str:
    """An epsilon, to two digits."""
    return "infinite" if value == math.inf else figure(value, 2, unknown="unknown")
