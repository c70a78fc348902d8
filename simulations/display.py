"""What a researcher sees while a simulation runs: hospitals, rounds, AUROC and epsilon so far."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from irene_model.console import figure
from irene_model.weights import Provenance
from server.runs import Json, RunFolder, epsilon_in
from simulations.audit import Audit
from simulations.compare import OwnModel, Trial
from simulations.report import gains_by_way
from simulations.result_tables import (
    gain_table,
    label_table,
    number,
    own_table,
    ranking_table,
    site_table,
)


class RunProgress:
    """Bars on a terminal; plain lines, one a round, where the output is a file or a pipe."""

    def __init__(self, *, stderr: bool = False) -> None:
        self._console = Console(highlight=False, soft_wrap=True, stderr=stderr)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._hospitals: Any = None
        self._rounds: Any = None
        self._own: Any = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def hospitals(self, done: int, total: int) -> None:
        """`done` of `total` synthetic records are on disk."""
        if self._hospitals is None:
            self._console.print(f"Writing synthetic hospitals: {total} records")
            self._hospitals = self._progress.add_task("records", total=total)
        self._progress.update(self._hospitals, completed=done, total=total)

    def start_rounds(self, folder: RunFolder) -> None:
        """The hospitals are there and the federation begins, or goes on."""
        study = folder.study
        self._console.print(
            f"Federation '{study.name}': {study.federation.rounds} rounds of "
            f"{study.federation.local_steps} steps, arm {folder.info['arm']}; sites read their "
            "files first"
        )
        self._rounds = self._progress.add_task(
            "rounds", total=study.federation.rounds, completed=folder.last_round
        )

    def round(self, line: Json) -> None:
        """One line of rounds.jsonl."""
        self._progress.update(self._rounds, completed=line["round"])
        outcomes = {s["outcome"] for s in line["sites"].values()}
        if line["evaluation"] is None and outcomes == {"updated"}:
            return  # the bar tells enough of a round in which nothing happened
        auroc = (line["evaluation"] or {}).get("auroc")
        spent = [e for s in line["sites"].values() if (e := epsilon_in(s)) is not None]
        parts = [
            f"round {line['round']:>3}",
            f"{sum(s['outcome'] == 'updated' for s in line['sites'].values())}"
            f"/{len(line['sites'])} sites",
            f"validation AUROC {figure(auroc)}" if auroc is not None else "not evaluated",
            f"epsilon up to {figure(max(spent), 2)}" if spent else "no epsilon",
            f"{figure(line['seconds'], 1)} s",
        ]
        self._console.print("  ".join(parts))
        for site, entry in line["sites"].items():
            if entry["outcome"] != "updated":
                self._console.print(f"  {site}: {entry['outcome']}: {entry['reason']}")

    def own_model(self, done: int, total: int) -> None:
        """`done` of `total` hospitals have trained a model of their own."""
        if self._own is None:
            self._console.print(f"Training {total} hospitals' own models, to compare")
            self._own = self._progress.add_task("own models", total=total)
        self._progress.update(self._own, completed=done)

    def summary(
        self, folder: RunFolder, results: Json, report: Path, beside: Sequence[OwnModel] = ()
    ) -> None:
        """The final tables, each hospital's own model beside the federation's, and the files."""
        start = results["arms"].get("start-only")
        for name, arm in ((n, a) for n, a in results["arms"].items() if a is not start):
            self._console.print(label_table(name, arm, start))
            self._console.print(site_table(arm, start))
            if beside:
                self._console.print(own_table(beside))
        if start is not None:
            self._console.print("start: the AUROC of the first weights alone, before round 1")
        if folder.info.get("stopped"):
            self._console.print(f"Stopped early: {folder.info['stopped']}")
        self._console.print(f"results  {folder.path / 'results.json'}")
        self._console.print(f"report   {report}")

    def start_epochs(self, folders: int) -> None:
        """Pretraining on so many folders begins, or goes on."""
        self._console.print(
            f"Training WITHOUT privacy on {folders} folders: their patients must be public"
        )
        self._rounds = self._progress.add_task("epochs", total=None)

    def epoch(self, done: int, total: int, auroc: float | None) -> None:
        """`done` of `total` epochs of pretraining are over, and judged by validation patients."""
        self._progress.update(self._rounds, completed=done, total=total)
        self._console.print(f"epoch {done:>3}/{total}  validation AUROC {number(auroc)}")

    def pretrained(self, told: Provenance, out: Path) -> None:
        """What pretraining reached, and where it lies."""
        self._console.print(
            f"kept epoch {told.kept_epoch}: AUROC {number(told.validation.auroc)} on "
            f"{told.validation.patients} validation patients, {number(told.test.auroc)} on "
            f"{told.test.patients} test patients of {told.places} public folders"
        )
        self._console.print(f"model    {out}")

    def attack(self, done: int, total: int) -> None:
        """`done` of `total` rounds of an audit are trained and read."""
        if self._rounds is None:
            self._console.print(f"Attacking {total} rounds of the first site")
            self._rounds = self._progress.add_task("rounds", total=total)
        self._progress.update(self._rounds, completed=done)

    def findings(self, found: Audit, path: Path) -> None:
        """What an audit proved beside what the ledger claims."""
        title = f"Audit with {found.canaries} canaries, against {found.against}"
        table = Table(title=title, title_justify="left")
        for column in ("attack", "guesses", "right", "epsilon at least"):
            table.add_column(column, justify="left" if column == "attack" else "right")
        for each in found.findings:
            bound = figure(each.epsilon_at_least, 2)
            table.add_row(each.attack, str(each.guesses), str(each.correct), bound)
        self._console.print(table)
        if found.noise_found is not None:
            self._console.print(f"noise    {found.noise_found:.1%} of the claimed")
        self._console.print(
            f"claimed  epsilon {figure(found.epsilon_claimed, 2)} at delta {found.delta:g}: "
            + ("REFUTED, at" if found.refuted else "not refuted, at")
            + f" {found.confidence:.0%} confidence over all attacks"
        )
        self._console.print(f"audit    {path}")

    def trials(self, total: int) -> None:
        """So many trainings will be compared."""
        self._console.print(f"Comparing {total} trainings")
        self._rounds = self._progress.add_task("trainings", total=total)

    def trial(self, trial: Trial, result: Json, done: int, total: int) -> None:
        """`done` of `total` trainings of a comparison are finished, this one last."""
        self._progress.update(self._rounds, completed=done)
        self._console.print(
            f"{done:>3}/{total}  seed {trial.seed}  {trial.row}  "
            f"AUROC {number(result['auroc']['macro'])}  round {result['kept_round']} of "
            f"{result['rounds']}  {figure(result['seconds'], 0)} s"
        )

    def ranking(self, results: Json, out: Path) -> None:
        """The rows of a comparison, best first, the hospitals' gains, and where everything lies."""
        self._console.print(ranking_table(results))
        if gains := gains_by_way(results):
            self._console.print(gain_table(gains, results["sites"]))
        self._console.print(f"results  {out / 'results.json'}")
        self._console.print(f"report   {out / 'report.html'}")

    def listing(self, written: Sequence[Path]) -> None:
        """The site files that were written."""
        for path in written:
            self._console.print(str(path))
