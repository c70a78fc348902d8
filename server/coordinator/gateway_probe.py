"""Is the gateway there, as a hospital would find it? One request through TLS, by the private CA."""

from pathlib import Path

from irene_model.operations import Reach
from irene_model.operations import reach as reach_by


def reach(host: str, port: int, ca: Path) -> Reach:
    """Ask the gateway at this machine's `port` for its health, as `host` and trusting `ca` alone.

    It is asked over loopback: whether a router or firewall lets hospitals in can't be told here.
    """
    through = "::1" if ":" in host else "127.0.0.1"
    return reach_by(host, port, ca, through=through).state
