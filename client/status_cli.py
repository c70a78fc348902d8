"""irene-client's command for watching: `status`."""

from pathlib import Path
from typing import Annotated

import typer


def status(
    site_file: Annotated[
        Path, typer.Argument(metavar="SITE.yaml", help="The hospital's description.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")] = False,
) -> None:
    """Show the node, its connection, what waits for you, the budget and what left the site last.

    Exit code 1 where something is broken. What waits for people, as an approval, is none.

    Example: `irene-client status site.yaml`
    """
    from client.node import look, show
    from client.site import Site
    from irene_model.console import tell_status

    tell_status(look(Site.read(site_file)), show, as_json=as_json)
