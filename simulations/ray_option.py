"""The option that names a Ray cluster."""

from typing import Annotated

import typer


def _answering(address: str | None) -> str | None:
    """Refuse an address before anything is written."""
    if address is not None:
        from simulations.engine import check_address

        check_address(address)
    return address


RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="HOST:PORT",
        callback=_answering,
        help="Train on the Ray cluster there; all its machines see the sites' folders.",
    ),
]
