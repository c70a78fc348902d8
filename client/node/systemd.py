"""A systemd unit, so that a node comes back after a reboot."""

import sys
from pathlib import Path

from client.consent import user
from client.gateway import Connection
from client.site import Site
from irene_model.errors import ConfigError

_UNIT = """\
[Unit]
Description=IRENE node of the site {site}
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
User={user}
WorkingDirectory={folder}
ExecStart={command}
Restart=always
RestartSec=10
KillMode=mixed
TimeoutStopSec=60
UMask=0077
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=full

[Install]
WantedBy=multi-user.target
"""


def unit_name(site: Site) -> str:
    """The unit's file name."""
    return f"irene-{site.site}.service"


def unit(site: Site, site_file: Path, connection: Connection) -> str:
    """The unit's text, for the user who runs this and the Python environment that runs it."""
    command = [
        str(Path(sys.executable).parent / "irene-client"),
        *("start", str(site_file.resolve())),
        *("--server", connection.server),
        *("--ca", str(connection.ca)),
        *("--key", str(connection.key)),
        *(("--proxy", connection.proxy) if connection.proxy is not None else ()),
    ]
    return _UNIT.format(
        site=site.site,
        user=user(),
        folder=str(site.folder).replace("%", "%%"),  # not split, and only specifiers count here
        command=" ".join(f'"{_escaped(word)}"' for word in command),
    )


def write_unit(path: Path, text: str) -> None:
    """Write the unit to `path`; nothing is overwritten."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(f"{path}: is there already; remove it first") from None
    except OSError as error:
        raise ConfigError(
            f"{path}: can't be written ({error.strerror}); without --out the unit is shown, for "
            "`| sudo tee`"
        ) from None


def _escaped(word: str) -> str:
    """As systemd reads it: specifiers, variables, quotes (systemd.service(5), COMMAND LINES)."""
    if "\n" in word:
        raise ConfigError("a path with a line break can't stand in a unit; rename the folder")
    word = word.replace("\\", "\\\\").replace('"', '\\"')
    return word.replace("%", "%%").replace("$", "$$")
