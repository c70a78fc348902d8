"""The TLS gateway: the distribution's nginx, run in the coordinator's folder without privileges."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from irene_model.errors import ConfigError
from server.coordinator.coordinator import Coordinator

_ELSEWHERE = ("/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/bin")
_CHECK_S = 30
_LISTENS_ON_IPV6 = re.compile(r"^\s*listen\s+\[", re.MULTILINE)


def find_nginx() -> Path:
    """The nginx program; a ConfigError with the remedy where there is none."""
    # Distributions put it where only root's PATH looks.
    path = os.pathsep.join([os.environ.get("PATH", ""), *_ELSEWHERE])
    found = shutil.which("nginx", path=path)
    if found is None:
        raise ConfigError(
            "nginx is not installed, and it is the gateway that hospitals connect to: "
            "apt install nginx (Debian, Ubuntu) or dnf install nginx (Fedora, RHEL); its own "
            "service need not run"
        )
    return Path(found)


def command(nginx: Path, coordinator: Coordinator) -> tuple[str, ...]:
    """How the gateway is started, in the foreground."""
    folder = coordinator.gateway
    base = (str(nginx), "-p", f"{folder}/", "-c", "nginx.conf")
    # Workers of a root's nginx would become another user, who may not enter the folder.
    return (*base, "-g", "user root;") if os.geteuid() == 0 else base


def check(nginx: Path, coordinator: Coordinator) -> None:
    """Raise ConfigError, with nginx's own words, where it does not accept its configuration."""
    place = coordinator.gateway / "nginx.conf"
    addresses = [host for host in coordinator.settings.hosts if ":" in host]
    if addresses and not _LISTENS_ON_IPV6.search(place.read_text("utf-8", "replace")):
        raise ConfigError(
            f"{place}: does not listen on IPv6, and coordinator.yaml names {addresses[0]}; add "
            f"`listen [::]:{coordinator.settings.port} ssl;` below the other listen, or take the "
            "address out of hosts"
        )
    for folder in (coordinator.gateway / "temporary", coordinator.logs):
        folder.mkdir(mode=0o700, exist_ok=True)
    done = subprocess.run(
        [*command(nginx, coordinator), "-t"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=_CHECK_S,
        check=False,
        cwd=coordinator.gateway,
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "[emerg]" in line or "[crit]" in line]
        reason = said[-1].partition("] ")[2] if said else f"exit code {done.returncode}"
        raise ConfigError(f"{place}: nginx refuses it: {reason}")
