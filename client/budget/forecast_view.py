"""A forecast in the terminal: a table of rounds, noise and epsilon."""

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from client.budget.budget_view import number, number_or_unknown
from client.budget.forecasts import Choice, Forecast


def show_forecast(forecast: Forecast, console: Console) -> None:
    """Write `forecast` to `console`."""
    mechanism = forecast.fitting.mechanism
    console.print(
        f"Site {forecast.site}: epsilon {number(forecast.spent.smallest)} is spent; planned up to "
        f"{forecast.target:g} (at delta {forecast.delta:g}, patient-level)",
        highlight=False,
        soft_wrap=True,
    )
    if forecast.fitting.epsilon_alone is not None:
        console.print(_alone(forecast), highlight=False, soft_wrap=True)
    console.print(
        f"Study {escape(forecast.study)}: rate {mechanism.sample_rate:.3g} "
        f"({forecast.declared_patients} declared patients), steps a round: {mechanism.steps}",
        highlight=False,
        soft_wrap=True,
    )
    console.print(_table(forecast))
    console.print(
        "Epsilon is that of the whole ledger afterwards; the smaller of RDP and PRV counts. More "
        "rounds with the same epsilon need more noise in each.",
        highlight=False,
        soft_wrap=True,
    )
    if forecast.hope is not None:
        console.print(f"As the study is: {forecast.hope}", highlight=False, soft_wrap=True)


def _alone(forecast: Forecast) -> str:
    bound = (
        "your budget names none for it (budget.alone)"
        if forecast.budget_alone is None
        else f"at most {forecast.budget_alone:g} by your budget (budget.alone)"
    )
    return (
        "The noise is that of as few sites as a secure sum may have, without those that collude; "
        f"`alone` is your epsilon if everybody else colludes, {bound}"
    )


def _table(forecast: Forecast) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    shared = forecast.fitting.epsilon_alone is not None
    for column in ("rounds", "noise multiplier", "RDP", "PRV", "epsilon",
                   *["alone"] * shared):  # fmt: skip
        table.add_column(column, justify="right")
    table.add_column("")

    def add(choice: Choice, note: str) -> None:
        table.add_row(
            str(choice.rounds),
            f"{choice.mechanism.noise_multiplier:.4g}",
            number(choice.epsilon.rdp),
            number_or_unknown(choice.epsilon.prv),
            number(choice.epsilon.smallest),
            *[number((choice.epsilon_alone or choice.epsilon).smallest)] * shared,
            note,
        )

    for choice in forecast.choices:
        planned = choice.rounds == forecast.rounds
        add(choice, "the planned rounds" if planned else "")
    table.add_section()
    asked = forecast.fitting.mechanism.noise_multiplier == forecast.study_asks
    add(
        forecast.fitting,
        f"most with {'the noise of the study' if asked else 'this noise'}",
    )
    return table
