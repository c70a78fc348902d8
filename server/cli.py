"""irene-server: the command of a study's coordinator."""

from pathlib import Path
from typing import Annotated

import typer

from irene_model.console import Version, new_app, run_app
from server.runs import FEWEST, KEPT
from server.sites_cli import COMMANDS as SITES
from server.status_cli import COMMANDS as WATCHING

app = new_app(
    "Coordinate a federation: make a folder, start it, enroll hospitals, run a study.\n"
    "\n"
    "Example: `irene-server init federation --host gateway.hospital.org`\n"
)

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="The coordinator's folder, made by init.")
]


@app.callback()
def _server(version: Version = False) -> None:
    """Options before the subcommand; `--version` acts in its callback."""


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is new or empty.")],
    host: Annotated[
        list[str],
        typer.Option(
            metavar="NAME",
            help="A name or an address by which hospitals reach this machine. Repeat for more.",
        ),
    ],
    port: Annotated[
        int, typer.Option(metavar="PORT", help="The port that hospitals connect to.")
    ] = 8443,
    loopback_port: Annotated[
        int, typer.Option(metavar="PORT", help="The first of four ports for this machine alone.")
    ] = 9180,
) -> None:
    """Make the coordinator's folder: a private certificate authority, keys, gateway, a first study.

    Nothing is overwritten: a folder that holds anything is refused. Keys are readable for you
    alone; keep a copy of certificates/ca.key where nobody finds it.

    Example: `irene-server init federation --host gateway.hospital.org`
    """
    from irene_model.study import parse
    from server.coordinator import Coordinator, CoordinatorSettings, Loopback, account

    loopback = {name: loopback_port + i for i, name in enumerate(Loopback.model_fields)}
    options = {"hosts": host, "port": port, "loopback": loopback}
    made = Coordinator.create(folder, parse(CoordinatorSettings, options, "the options"))
    made.journal.append("folder made", who=account(), hosts=" ".join(host), port=port)
    typer.echo(f"{made.path} is made. Next:")
    typer.echo(f"  irene-server start {folder}")
    typer.echo(
        f"  give hospitals {made.settings.address} and the file {folder}/certificates/ca.crt"
    )


@app.command()
def start(folder: Folder) -> None:
    """Start SuperLink, gateway and the live page; keep them alive until stopped (Ctrl-C, `stop`).

    Whatever ends is started again. systemd/irene-server.service in the folder does this at boot.

    Example: `irene-server start federation`
    """
    import os

    from irene_model.operations import Supervisor
    from server.coordinator import Coordinator, account, check_start, services_of

    coordinator = Coordinator.open(folder)
    for warning in check_start(coordinator):
        typer.echo(f"warning: {warning}", err=True)
    settings = coordinator.settings
    supervisor = Supervisor(
        services=services_of(coordinator), state=coordinator.state, observe=typer.echo
    )
    typer.echo(f"hospitals connect to {settings.address}; Ctrl-C ends")
    typer.echo(f"the live page is http://127.0.0.1:{settings.loopback.web}/")
    os.umask(0o077)  # whatever the processes write is for their owner
    coordinator.journal.append("started", who=account())
    supervisor.run()
    coordinator.journal.append("stopped", who=account())


@app.command()
def stop(folder: Folder) -> None:
    """End what `start` started, wherever it runs. A run goes on later with `run --resume`.

    Example: `irene-server stop federation`
    """
    from irene_model.operations import stop as stop_supervisor
    from server.coordinator import Coordinator

    coordinator = Coordinator.open(folder)
    stopped = stop_supervisor(coordinator.state)
    typer.echo("stopped" if stopped else "nothing was running")


@app.command()
def renew(folder: Folder) -> None:
    """New certificates for gateway and SuperLink, for two years; hospitals need do nothing.

    The authority stays the same. They count from the next start; a run goes on with `--resume`.

    Example: `irene-server renew federation`
    """
    from server.coordinator import Coordinator, account

    coordinator = Coordinator.open(folder)
    coordinator.renew()
    coordinator.journal.append("certificates renewed", who=account())
    typer.echo("renewed; they count after irene-server stop and start")


@app.command()
def run(
    *,
    folder: Folder,
    study_file: Annotated[
        Path | None,
        typer.Argument(metavar="[STUDY.yaml]", help="The study; not needed with --resume."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Of the run's folder; else the study's name and time."),
    ] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on with this run, or follow it again.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the first weights.")] = 0,
    start_image: Annotated[
        Path | None, typer.Option(metavar="PATH", help="A Vision Transformer to start from.")
    ] = None,
    start_text: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="A text encoder to start from.")
    ] = None,
    start_irene: Annotated[
        Path | None,
        typer.Option("--start", metavar="MODEL", help="A folder of IRENE to begin from."),
    ] = None,
    keep_checkpoints: Annotated[
        int,
        typer.Option(metavar="N", min=FEWEST, help="Newest rounds whose checkpoints stay."),
    ] = KEPT,
    detach: Annotated[
        bool, typer.Option("--detach", help="Submit, and leave it to run by itself.")
    ] = False,
) -> None:
    """Run a study with the enrolled hospitals, and show each round.

    Needs `start`. Ctrl-C leaves the run going; `--resume RUN` shows it again and `cancel` ends it.
    A run whose process is lost goes on by itself after the last whole round, followed or not. Exit
    code 1 for a run that failed, was stopped or cancelled.

    Example: `irene-server run federation study.yaml --name first`
    """
    from functools import partial

    from rich.console import Console

    from irene_model.errors import ConfigError
    from irene_model.study import Study
    from server.coordinator import Control, Coordinator, require_started
    from server.submission import begin, begun_run, carry_out, new_run
    from server.watch import RoundsView

    coordinator = Coordinator.open(folder)
    if resume is not None:
        if any(given is not None for given in (name, start_image, start_text, start_irene)):
            raise ConfigError("--resume takes name and first weights from the run; leave them out")
        wanted = begun_run(coordinator, resume, study_file)
    elif study_file is not None:
        wanted = new_run(
            coordinator,
            study_file,
            name=name,
            seed=seed,
            start_image=start_image,
            start_text=start_text,
            start_irene=start_irene,
            keep_checkpoints=keep_checkpoints,
        )
    else:
        raise ConfigError("name a STUDY.yaml, or a run with --resume")
    require_started(coordinator)
    control, console = Control(coordinator), Console(highlight=False)
    say = partial(console.print, soft_wrap=True)
    run_id, fresh = begin(coordinator, control, wanted)
    if fresh:
        say(f"run {wanted.name} is submitted; its folder is {wanted.folder}")
        say(f"irene-server status {folder} shows who is there and who is waited for")
    else:
        say(f"run {wanted.name} is still going on")
    if detach:
        return
    view = RoundsView(console, Study.read(wanted.study).federation.rounds)
    try:
        carry_out(coordinator, control, wanted, run_id, observe=view.show, say=say)
    except KeyboardInterrupt:
        say(f"the run goes on; irene-server run {folder} --resume {wanted.name} shows it")
        raise
    say(f"report {wanted.folder / 'report.html'}")


@app.command()
def cancel(
    folder: Folder,
    name: Annotated[str, typer.Argument(metavar="RUN", help="The run's name.")],
) -> None:
    """End one run for good; other runs and the hospitals' nodes go on.

    What it has trained stays in its folder. It is not taken up again, by `--resume` neither.

    Example: `irene-server cancel federation first`
    """
    from server.coordinator import Control, Coordinator, require_started
    from server.submission import cancel as end

    coordinator = Coordinator.open(folder)
    require_started(coordinator)
    end(coordinator, Control(coordinator), name)
    typer.echo(f"run {name} is cancelled")


for command in (*SITES, *WATCHING):
    app.command()(command)


def main() -> None:
    """The console script."""
    run_app(app)
