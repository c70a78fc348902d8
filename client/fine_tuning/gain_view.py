"""Fine-tuning as the hospital's people see it: how far it is, and what it gained."""

from pathlib import Path
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import MofNCompleteColumn, Progress
from rich.table import Table

from client.fine_tuning.gain import Gain
from irene_model.console import figure
from irene_model.weights import FineTuned


class EpochProgress:
    """A bar and a line for each epoch, on stderr."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            *Progress.get_default_columns(),
            MofNCompleteColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("epochs", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._progress.stop()

    def show(self, done: int, total: int, auroc: float | None) -> None:
        """`done` of `total` epochs are over, and judged by validation patients."""
        self._progress.update(self._task, completed=done, total=total)
        self._progress.console.print(
            f"epoch {done:>3}/{total}  validation AUROC {figure(auroc)}", highlight=False
        )


def show_gain(told: FineTuned, gain: Gain, out: Path, console: Console) -> None:
    """The table by label, the verdict, and where the model lies."""
    title = f"{told.site}: {gain.after.patients} test patients, AUROC"
    table = Table(title=escape(title), title_justify="left")
    for column in ("label", "federation's", "fine-tuned"):
        table.add_column(column, justify="left" if column == "label" else "right")
    for label, value in gain.before.by_label.items():
        table.add_row(escape(label), figure(value), figure(gain.after.by_label[label]))
    table.add_section()
    table.add_row("macro", figure(gain.before.auroc), figure(gain.after.auroc))
    console.print(table)
    anew = ", of the model that began anew" if told.kept_epoch > told.epochs - told.anew else ""
    console.print(
        f"kept     epoch {told.kept_epoch} of {told.epochs}{anew}, {_verdict(told, gain)}"
    )
    console.print(f"model    {out}", soft_wrap=True, highlight=False)
    console.print(
        "It was trained on your patients without noise, so it tells of them: it must stay in the "
        "hospital."
    )


def _verdict(told: FineTuned, gain: Gain) -> str:
    if not told.kept_epoch:
        return "the federation's own weights: nothing was better on the validation patients"
    if gain.difference is None:
        return "no label has test patients on both sides"
    if gain.ci95 is None:
        return f"{gain.difference:+.3f} on the test patients; too few to say how sure that is"
    low, high = gain.ci95
    return f"{gain.difference:+.3f} on the test patients ({low:+.3f} to {high:+.3f})"
