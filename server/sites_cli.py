"""irene-server's commands for who takes part: `enroll`, `expel` and `roster`."""

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="The coordinator's folder, made by init.")
]


def enroll(
    folder: Folder,
    key: Annotated[Path, typer.Argument(metavar="HOSPITAL.pub", help="The hospital's public key.")],
    name: Annotated[
        str, typer.Option(metavar="SITE", help="The site's name, as in its site.yaml.")
    ],
    mask_key: Annotated[
        Path | None,
        typer.Option(metavar="MASK.pub", help="Its public mask key, for studies of secure sums."),
    ] = None,
) -> None:
    """Let a hospital in: from now on the node with this key is this site, and no other.

    Make sure by another way than the file's own (a call, a visit) that the key is theirs: compare
    the sha256 that is printed. With `--mask-key` a site that is enrolled already gets one, too.

    Example: `irene-server enroll federation north.pub --name north --mask-key north-mask.pub`
    """
    from server.coordinator import (
        Control,
        Coordinator,
        check_name,
        read_mask_key,
        read_public_key,
        require_started,
    )
    from server.coordinator import enroll as admit

    coordinator = Coordinator.open(folder)
    check_name(name)
    read_public_key(key)  # a mistake here needs no SuperLink to be told
    mask = None if mask_key is None else read_mask_key(mask_key)
    require_started(coordinator)
    site = admit(coordinator, Control(coordinator), key, name, mask_key=mask)
    typer.echo(f"{name} is enrolled; sha256 of its key {site.key_sha256}")
    if mask is not None:
        typer.echo(f"its mask key {mask}; irene-server roster writes it down with the others'")


def roster(
    folder: Folder,
    out: Annotated[Path, typer.Option(metavar="FILE", help="A new file, as roster.yaml.")],
) -> None:
    """Write down who takes part in secure sums, under which keys; `federation.secure.roster`.

    Hospitals compare the fingerprint among themselves, by telephone say: whoever can swap a mask
    key unnoticed can read what its site sends.

    Example: `irene-server roster federation --out roster.yaml`
    """
    from server.coordinator import Coordinator, roster_of, write_roster

    found, lacking = roster_of(Coordinator.open(folder))
    write_roster(found, out)
    for name in lacking:
        typer.echo(f"warning: {name} has no mask key and is left out", err=True)
    typer.echo(f"{out} holds {', '.join(member.name for member in found.members)}")
    typer.echo("Let the hospitals compare its fingerprint among themselves:")
    digits = found.fingerprint
    typer.echo(f"  {' '.join(digits[i : i + 4] for i in range(0, len(digits), 4))}")


def expel(
    folder: Folder,
    name: Annotated[str, typer.Argument(metavar="SITE", help="The enrolled site's name.")],
) -> None:
    """Shut a hospital out: its key is refused from now on, for good.

    A hospital that comes back, or has lost its key, brings a new one.

    Example: `irene-server expel federation north`
    """
    from server.coordinator import Control, Coordinator, require_started
    from server.coordinator import expel as shut_out

    coordinator = Coordinator.open(folder)
    require_started(coordinator)
    shut_out(coordinator, Control(coordinator), name)
    typer.echo(f"{name} is expelled")


COMMANDS = (enroll, expel, roster)
