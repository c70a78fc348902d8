"""irene-client ledger: what people decide about the ledger itself."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="The ledger of what your patients have spent: what to do when it is lost.",
    no_args_is_help=True,
)


@app.callback()
def _ledger() -> None:
    """A group, though it has one command: more may come, and the name says what it is about."""


@app.command("accept-loss")
def accept_loss(
    site_file: Annotated[
        Path, typer.Argument(metavar="SITE.yaml", help="The hospital's description.")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Accept without being asked.")] = False,
) -> None:
    """Begin a new ledger after the old one was lost, at the price of the whole budget.

    First try to RESTORE: put the newest ledger.sqlite, ledger.sqlite.head, ledger.sqlite.key and
    journal.jsonl back together, from a backup that is not older than the last round. Then nothing
    is lost and this command is not needed.

    Where they are gone for good, nobody knows what was spent. It was at most your budget, so this
    charges the whole budget that site.yaml names (or a larger one that the journal remembers), for
    all patients. The site then declines every round until you raise `epsilon` in site.yaml: only
    what you add can be spent, and the delta of the loss comes on top of the budget's own. `budget`
    and `status` go on saying so. Old files are set aside, never deleted.

    It is refused where nothing shows a loss. Stop the node first.

    Example: `irene-client ledger accept-loss site.yaml`
    """
    from client.budget import number
    from client.consent import plain
    from client.gateway import node_folder
    from client.ledger import accept_loss as accept
    from client.ledger import find_loss
    from client.site import Site
    from irene_model.errors import ConfigError
    from irene_model.operations import supervisor_of

    site = Site.read(site_file)
    if supervisor_of(node_folder(site)) is not None:
        raise ConfigError(f"{site_file}: its node runs; `irene-client stop` it first")
    found = find_loss(site)
    for problem in found.problems:
        typer.echo(f"Found: {problem}")
    loss = found.loss
    typer.echo(
        f"Charged would be epsilon {number(loss.epsilon)} at delta {loss.delta:g}, the whole budget"
        + (": there is none, so nothing bounds it." if site.budget == "none" else ".")
    )
    shared = loss.alone != loss.epsilon
    if shared:
        typer.echo(f"If everybody else colludes it would be epsilon {number(loss.alone)}.")
    for run, rounds in loss.runs.items():
        typer.echo(f"- run {plain(run)}: {rounds} rounds are known to have been charged")
    if not yes:
        typer.confirm("Is the newest ledger lost for good, and shall this be charged?", abort=True)
    for path in accept(site, loss):
        typer.echo(f"Set aside: {path}")
    typer.echo(
        "A new ledger has begun. No round fits until the budget in site.yaml is raised beyond "
        f"epsilon {number(loss.epsilon)}"
        + (f", and its `alone` beyond {number(loss.alone)}." if shared else ".")
    )
