"""The budget in the terminal: a bar, and a table of runs."""

import math

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from client.budget.budget import BudgetReport
from client.budget.outlook import Outlook
from client.consent import plain
from client.ledger import NO_BUDGET_ALONE, Loss
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
    _show_alone(report, console)
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
        _show_outlook(report.outlook, report, console)


def loss_sentence(loss: Loss) -> str:
    """What was charged for lost ledgers, and what it means."""
    runs = f", of runs {', '.join(map(plain, loss.runs))}" if loss.runs else ""
    alone = "" if loss.alone == loss.epsilon else f" ({number(loss.alone)} if all others collude)"
    return (
        f"Epsilon {number(loss.epsilon)}{alone} at delta {loss.delta:g} of it is charged for a "
        f"ledger that was lost{runs}: only what the budget in site.yaml allows beyond that can be "
        "spent"
    )


def _show_alone(report: BudgetReport, console: Console) -> None:
    """The second epsilon, where anything relies on the noise of other sites."""
    if report.spent_alone is None:
        return
    console.print(alone_sentence(report), highlight=False, soft_wrap=True)
    if report.budget_alone is not None:
        console.print(bar(report.spent_alone.smallest, report.budget_alone))
        console.print()


def alone_sentence(report: BudgetReport) -> str:
    """What is spent if everybody else colludes; "" where that is the same."""
    if report.spent_alone is None:
        return ""
    spent = f"Alone, if everybody else colludes: epsilon {number(report.spent_alone.smallest)}"
    if report.budget_alone is None:
        return spent if report.budget is None else f"{spent}, and no budget (budget.alone)"
    left = number(report.left_alone or 0.0)
    return f"{spent} of {report.budget_alone:g} spent, {left} left"


def _runs(report: BudgetReport) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("run", no_wrap=True)
    shared = any(run.epsilon_alone is not None for run in report.runs)
    bounds = ("epsilon", "alone") if shared else ("RDP", "PRV", "epsilon")
    for column in ("rounds", "evaluations", "noise", "rate", "steps", *bounds):
        table.add_column(column, justify="right")
    for run in report.runs:
        table.add_row(
            escape(run.run),
            str(run.rounds),
            str(run.evaluations),
            "mixed" if run.noise_multiplier is None else f"{run.noise_multiplier:.3g}",
            "mixed" if run.sample_rate is None else f"{run.sample_rate:.3g}",
            str(run.steps),
            *([] if shared else [number(run.epsilon.rdp), number_or_unknown(run.epsilon.prv)]),
            number(run.epsilon.smallest),
            *([number((run.epsilon_alone or run.epsilon).smallest)] if shared else []),
        )
    return table


def _show_outlook(outlook: Outlook, report: BudgetReport, console: Console) -> None:
    mechanism = outlook.mechanism
    console.print(
        f"Study {escape(outlook.study)}: noise multiplier {mechanism.noise_multiplier:.3g}, rate "
        f"{mechanism.sample_rate:.3g}, {mechanism.steps} steps a round; the next round brings "
        f"epsilon to {number(outlook.after_next_round.smallest)}",
        highlight=False,
        soft_wrap=True,
    )
    other = outlook.if_all_collude
    if other is not None:
        console.print(
            f"That is in sums of as few sites as may be; your site's own noise multiplier is "
            f"{other.mechanism.noise_multiplier:.3g}. If everybody else colludes the next round "
            f"brings epsilon to {number(other.after_next_round.smallest)}, and a whole run to "
            f"{number(other.after_all)}",
            highlight=False,
            soft_wrap=True,
        )
    if report.budget is None:
        return
    console.print(
        f"{outlook.rounds_left} of a run's {outlook.rounds} rounds fit into what is left. A "
        f"whole run, its evaluations included, would bring epsilon to "
        f"{number(outlook.after_all)}.",
        highlight=False,
        soft_wrap=True,
    )
    if other is not None and report.budget_alone is None:
        console.print(f"None is accepted: {NO_BUDGET_ALONE}", highlight=False, soft_wrap=True)


def bar(spent: float, budget: float) -> ProgressBar:
    """What is spent of a budget, as a share: the bar reckons with no number of any size."""
    return ProgressBar(total=1.0, completed=min(1.0, spent / budget), width=50)


def number_or_unknown(value: float | None) -> str:
    """An epsilon that could perhaps not be computed."""
    return "unknown" if value is None else number(value)


def number(value: float) -> str:
    """An epsilon, to two digits."""
    return "infinite" if value == math.inf else figure(value, 2, unknown="unknown")
