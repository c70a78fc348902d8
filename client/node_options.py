"""The options by which a node's connection is given, and what the last start stands in for."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from client.gateway import Connection
    from client.site import Site

Server = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="The coordinator's gateway; else that of last time."),
]
Ca = Annotated[
    Path | None,
    typer.Option(metavar="ca.crt", help="The coordinator's CA; else that of last time."),
]
Key = Annotated[
    Path | None,
    typer.Option(metavar="KEY", help="The private key of `keygen`; else that of last time."),
]

Proxy = Annotated[
    str | None,
    typer.Option(
        metavar="http://HOST:PORT",
        help="The way out, if there is no direct one: a proxy, `environment` for HTTPS_PROXY, or "
        "`none`; else that of last time.",
    ),
]


def chosen_connection(
    site: "Site", server: str | None, ca: Path | None, key: Path | None, proxy: str | None
) -> "Connection":
    """From the options, and for those that are left out from the last start."""
    from client.gateway import NONE, Connection, remembered
    from irene_model.errors import ConfigError
    from irene_model.study import parse

    last = remembered(site)
    given: dict[str, str | Path | None] = {"server": server, "ca": ca, "key": key}
    for name, value in given.items():
        if value is None and last is not None:
            given[name] = getattr(last, name)
        elif isinstance(value, Path):
            given[name] = value.resolve()
    missing = [f"--{name}" for name, value in given.items() if value is None]
    if missing:
        raise ConfigError(f"give {', '.join(missing)}: this site was not connected before")
    given["proxy"] = last.proxy if proxy is None and last is not None else proxy
    if proxy == NONE:
        given["proxy"] = None
    return parse(Connection, given, "the connection")
