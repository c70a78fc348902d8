"""irene-server's commands for watching: `status` and `web`."""

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="The coordinator's folder, made by init.")
]


def status(
    folder: Folder,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")] = False,
) -> None:
    """Show processes, gateway, sites and the newest run. Exit code 1 where something is broken.

    Sites that are away or wait for their people are warnings: exit code 0.

    Example: `irene-server status federation --json`
    """
    from irene_model.console import tell_status
    from server.coordinator import Coordinator
    from server.watch import show, survey

    tell_status(survey(Coordinator.open(folder)), show, as_json=as_json)


def web(
    place: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="The coordinator's folder; or any folder of runs, or a run."
        ),
    ],
    port: Annotated[
        int | None,
        typer.Option(metavar="PORT", min=1, max=65535, help="Else the one in coordinator.yaml."),
    ] = None,
) -> None:
    """Serve the live page and /metrics on this machine's loopback. `start` does so by itself.

    From another machine: `ssh -L 9183:127.0.0.1:9183 COORDINATOR`, then http://127.0.0.1:9183.

    Example: `irene-server web runs --port 9183`
    """
    from server.coordinator import Coordinator, Loopback
    from server.watch import HOST, serve

    if port is None:
        made = (place / "coordinator.yaml").is_file()
        loopback = Coordinator.open(place).settings.loopback if made else Loopback()
        port = loopback.web
    typer.echo(f"http://{HOST}:{port}/ shows {place}; Ctrl-C ends", err=True)
    serve(place, port)


COMMANDS = (status, web)
