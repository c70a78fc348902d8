"""The ServerApp: wiring only.

Run configuration: `study`, the path of study.yaml; `out`, the run folder, which is resumed where
it exists; `seed` of the initial weights; `sites`, how many to wait for before the first round;
`enrolled`, the coordinator's list of enrolled sites, empty where whoever comes is believed;
`start-image`, `start-text`, `start-irene`: first weights (see `irene_model.weights.starting`);
`keep-checkpoints`: of how many of the newest rounds the checkpoints stay.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from irene_model.errors import ConfigError, IreneError
from irene_model.study import Study
from irene_model.weights import StartingPoint
from server.coordinator import alone, server_lock
from server.report import write_report
from server.rounds import Exchange, Looks, Observer, RegisterFile, RoundLoop
from server.runs import CANCELLED, KEPT, RunFolder, disclosure, now, run_log

app = ServerApp()
_ENDING_S = 180.0  # until a server that Flower has given up has ended too


def execute(
    grid: Grid,
    folder: RunFolder,
    *,
    expected_sites: int,
    enrolled: Path | None = None,
    give_up: bool = False,
    observe: Observer | None = None,
    looks: Looks | None = None,
) -> Path:
    """Run what is left of the run in `folder`; returns the path of its report.

    enrolled: the coordinator's list of sites. give_up: too few updates end the run with an error,
    where nobody is there to bring a site back. looks: when to look for replies, for a grid
    whose looks cost something else than a SuperLink's.
    """
    loop = RoundLoop(
        exchange=Exchange(grid, looks=looks),
        folder=folder,
        expected_sites=expected_sites,
        register=RegisterFile(enrolled),
        give_up=give_up,
        observe=observe,
    )
    with run_log(folder.path / "run.log"):
        try:
            results = loop.run()
        except IreneError as error:
            folder.update_info(stopped=str(error))  # until it is resumed
            raise
    folder.write_results(results)
    test = results["arms"][folder.info["arm"]]["evaluation"]["sites"]
    left = disclosure(folder.rounds(), test, folder.start_told)
    folder.update_info(
        finished=now(),
        sites=results["sites"],
        inside_guarantee=list(left.covered),
        outside_guarantee=list(left.outside),
    )
    return write_report(folder.path)


def starting_point(settings: Mapping[str, Any]) -> StartingPoint:
    """Where the run configuration says that first weights come from; empty means nowhere."""
    paths = {key: str(settings.get(f"start-{key}", "")) for key in ("image", "text", "irene")}
    return StartingPoint(**{key: Path(path) for key, path in paths.items() if path})


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Start or resume the run that the run configuration names."""
    settings = context.run_config
    if not settings.get("study") or not settings.get("out"):
        raise ConfigError('give --run-config \'study="study.yaml" out="runs/first"\'')
    out = Path(str(settings["out"]))
    if (out / CANCELLED).exists():
        raise ConfigError(f"{out}: was cancelled, and is not taken up again")
    out.parent.mkdir(parents=True, exist_ok=True)
    with alone(server_lock(out), what=f"run {out.name}", wait_s=_ENDING_S):
        _carry_on(grid, out, settings)


def _carry_on(grid: Grid, out: Path, settings: Mapping[str, Any]) -> None:
    """Run what is left of the run in `out`, as the only process that writes there."""
    if (out / "run.json").exists():
        folder = RunFolder.resume(out)
    else:
        study = Study.read(Path(str(settings["study"])))
        folder = RunFolder.create(
            out,
            study,
            seed=int(settings.get("seed", 0)),
            start=starting_point(settings),
            keep_checkpoints=int(settings.get("keep-checkpoints", KEPT)),
        )
    enrolled = str(settings.get("enrolled", ""))
    execute(
        grid,
        folder,
        expected_sites=int(settings.get("sites", 0)),
        enrolled=Path(enrolled) if enrolled else None,
    )
