"""irene-client: the node's life, from a key to leaving."""

import logging
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from client.node_options import Ca, Key, Proxy, Server, chosen_connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from irene_model.study import Study

_log = logging.getLogger(__name__)

SiteFile = Annotated[Path, typer.Argument(metavar="SITE.yaml", help="The hospital's description.")]


class Only(StrEnum):
    """One of a site's two keys."""

    node = "node"
    mask = "mask"


def keygen(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the key pair goes.")],
    site_file: Annotated[
        Path | None,
        typer.Option("--site", metavar="SITE.yaml", help="Note the key in this site's journal."),
    ] = None,
    only: Annotated[
        Only | None, typer.Option(help="Make one of the two, where you have the other.")
    ] = None,
) -> None:
    """Make the keys by which coordinator and hospitals know your node. Nothing is overwritten.

    The node's key is for the coordinator. By the mask key hospitals hide their sums from it; with
    `--site` its private file goes where site.yaml says (mask_key).

    Example: `irene-client keygen keys --site site.yaml`
    """
    from client.consent import journal_of, make_key, make_mask_key, mask_key_files, user
    from client.site import Site

    site = None if site_file is None else Site.read(site_file)
    at = None if site is None else site.resolve(site.mask_key)
    places = None if only is Only.node else mask_key_files(folder, at)
    pair = None if only is Only.mask else make_key(folder)
    mask = None if places is None else make_mask_key(*places)
    made: dict[str, str] = {}
    if pair is not None:
        made["key_sha256"] = pair.sha256
        typer.echo(f"Send to the coordinator:  {pair.public}")
        typer.echo(f"and tell them its sha256: {pair.sha256}")
        typer.echo("by another way than the file, by telephone say, so that nobody can swap it.")
        typer.echo(f"Never send, never copy:   {pair.private}")
    if mask is not None:
        made["mask_key"] = mask.value
        typer.echo(f"For secure sums, send:    {mask.public}")
        typer.echo(f"Never send, never copy:   {mask.private}")
    if site is not None:
        journal_of(site).append("key made", who=user(), **made)


def start(
    site_file: SiteFile,
    *,
    server: Server = None,
    ca: Ca = None,
    key: Key = None,
    proxy: Proxy = None,
) -> None:
    """Start the site's node and keep it alive; ends with Ctrl-C or `stop`.

    It dials out to the coordinator and nobody dials in. Without options the connection is that of
    the last start. A study is served once you have approved it.

    Example: `irene-client start site.yaml --server irene.example.org:443 --ca ca.crt
    --key keys/hospital.key`
    """
    from client.consent import Consent, journal_of, user
    from client.gateway import node_folder
    from client.node import check_connection, run_node
    from client.site import Site
    from irene_model.errors import ConfigError
    from irene_model.operations import supervisor_of

    os.umask(0o077)  # whatever Flower's processes write is for their owner, too
    site = Site.read(site_file)
    if supervisor_of(node_folder(site)) is not None:
        raise ConfigError(f"{site_file}: its node runs already; `irene-client stop` ends it")
    connection = chosen_connection(site, server, ca, key, proxy)
    sha256 = check_connection(connection)
    journal = journal_of(site)
    journal.append("node started", who=user(), server=connection.server, key_sha256=sha256)
    _log.info("site %s, server %s, key %s…", site.site, connection.server, sha256[:12])
    if Consent.of(site).paused:
        _log.warning("the site is paused: `irene-client resume %s` ends that", site_file)
    run_node(site, site_file, connection, lambda line: _log.info("%s", line))
    journal.append("node stopped", who=user())


def stop(site_file: SiteFile) -> None:
    """End the site's node at once, also within a round.

    What was charged stays charged; the round's update is sent when it is asked for again.
    """
    from client.gateway import node_folder
    from client.site import Site
    from irene_model.operations import stop as end

    stopped = end(node_folder(Site.read(site_file)))
    typer.echo("The node has ended." if stopped else "No node was running.")


def requests(
    site_file: SiteFile,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")] = False,
) -> None:
    """List the studies that the coordinator asked for, and which of them are approved."""
    import json

    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from client.consent import Consent
    from client.site import Site

    asked = Consent.of(Site.read(site_file)).requests()
    if as_json:
        rows = [
            {
                "study": each.study.name,
                "fingerprint": each.fingerprint,
                "first_asked": each.first,
                "approved": each.approved,
            }
            for each in asked
        ]
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("study", "fingerprint", "first asked (UTC)", ""):
        table.add_column(column)
    for each in asked:
        state = "approved" if each.approved else "waits for you"
        table.add_row(escape(each.study.name), each.fingerprint[:12], each.first, state)
    console = Console()
    console.print(table if asked else "No study was asked for yet.")


def approve(
    wanted: Annotated[
        str,
        typer.Argument(
            metavar="STUDY",
            help="A study.yaml, or name or fingerprint (its first digits) of a study asked for.",
        ),
    ],
    site_file: SiteFile,
    yes: Annotated[bool, typer.Option("--yes", help="Approve without being asked.")] = False,
) -> None:
    """Show a study, what it would cost and what would leave here; then approve it.

    From then on the site serves it whenever the coordinator asks, within its budget and limits.
    A study with one changed digit needs a new approval. The files may be read, to count patients.
    Of a study with secure sums it shows the roster, and what to compare with the other hospitals.

    Example: `irene-client approve study.yaml site.yaml`
    """
    from rich.console import Console

    from client.budget import declared_by, look_ahead, permitted_plan, show_here, show_study
    from client.consent import Consent
    from client.secure import Membership, show_roster
    from client.site import Site, check_study
    from irene_model.errors import ConfigError, LimitExceeded, RosterMismatch

    site = Site.read(site_file)
    consent = Consent.of(site)
    study = _study(wanted, consent.find)
    show_study(study, console := Console())
    try:
        check_study(site.limits, study)
        if (membership := Membership.of(site, study)) is not None:
            show_roster(membership, console)
        site.check_against(study)
        declared = declared_by(site, study)
        permitted_plan(site, study, declared, 1)
    except (LimitExceeded, RosterMismatch) as error:
        raise ConfigError(f"{site_file}: {error}") from None
    show_here(study, site, look_ahead(site, study, declared), console)
    if consent.approved(study.fingerprint):
        typer.echo("This study is approved already.")
        return
    if not yes:
        typer.confirm("Approve this study?", abort=True)
    consent.approve(study)
    typer.echo(f"Approved: {study.name}, {study.fingerprint}")


def pause(site_file: SiteFile) -> None:
    """Take part in nothing from the next message on; a round that is being trained is still sent.

    The node stays connected and says that it waits. `stop` ends at once.
    """
    from client.consent import Consent
    from client.site import Site

    changed = Consent.of(Site.read(site_file)).pause()
    typer.echo("The site is paused." if changed else "The site was paused already.")


def resume(site_file: SiteFile) -> None:
    """Take part again after `pause`."""
    from client.consent import Consent
    from client.site import Site

    changed = Consent.of(Site.read(site_file)).resume()
    typer.echo("The site takes part again." if changed else "The site was not paused.")


def leave(
    site_file: SiteFile,
    yes: Annotated[bool, typer.Option("--yes", help="Leave without being asked.")] = False,
) -> None:
    """Leave: end the node, withdraw all approvals, forget the connection. Says what remains."""
    from client.consent import Consent, journal_of, user
    from client.gateway import forget, node_folder, remembered
    from client.node import unit_name
    from client.site import Site
    from irene_model.operations import stop as end

    site = Site.read(site_file)
    if not yes:
        typer.confirm("End the node and withdraw all approvals?", abort=True)
    connection = remembered(site)
    end(node_folder(site))
    count = Consent.of(site).withdraw()
    forget(site)
    journal_of(site).append("site left", who=user(), approvals_withdrawn=count)
    typer.echo(f"The site {site.site} has left; {count} approvals are withdrawn. What remains:")
    if site.resolve(site.ledger).exists():
        typer.echo(f"- {site.resolve(site.ledger)}, and its .head: what your patients have spent.")
        typer.echo("  Never delete them: whoever joins with these patients again needs them.")
    typer.echo(f"- {journal_of(site).path}: who did what.")
    typer.echo(f"- {site.resolve(site.cache)}: prepared patients' data; delete it if you like.")
    if connection is not None:
        typer.echo(f"- {connection.key}: delete it, and ask the coordinator to remove its key.")
    if (mask_key := site.resolve(site.mask_key)).exists():
        typer.echo(f"- {mask_key}: delete it, once no study with secure sums goes on with you.")
    typer.echo(f"- the unit {unit_name(site)}, if you installed it: `systemctl disable` it.")


def systemd(
    site_file: SiteFile,
    *,
    server: Server = None,
    ca: Ca = None,
    key: Key = None,
    proxy: Proxy = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the unit there, not to stdout.")
    ] = None,
) -> None:
    """Show the systemd unit with which the node comes back after a reboot.

    Example: `irene-client systemd site.yaml | sudo tee /etc/systemd/system/irene-north.service`
    """
    from client.node import check_connection, unit, write_unit
    from client.site import Site

    site = Site.read(site_file)
    connection = chosen_connection(site, server, ca, key, proxy)
    check_connection(connection)
    text = unit(site, site_file, connection)
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_unit(out, text)


COMMANDS = (keygen, start, stop, requests, approve, pause, resume, leave, systemd)


def _study(wanted: str, find: "Callable[[str], Study]") -> "Study":
    from irene_model.study import Study

    path = Path(wanted)
    if path.is_file() or path.suffix in (".yaml", ".yml"):
        return Study.read(path)
    return find(wanted)
