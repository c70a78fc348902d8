"""The proxy on the node's way out, where the site names one."""

from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from irene_model.errors import ConfigError

ENVIRONMENT = "environment"
"""As the environment says, which may hold a name and a password."""
NONE = "none"


def checked(proxy: str) -> str:
    """`proxy` if it can stand in a connection; else a ValueError."""
    if proxy == ENVIRONMENT:
        return proxy
    expected = f"expected http://HOST:PORT, or `{ENVIRONMENT}`, or `{NONE}`"
    try:
        way = urlsplit(proxy)
        port = way.port
    except ValueError:
        raise ValueError(expected) from None
    if way.username is not None or way.password is not None:
        raise ValueError(
            "a name and a password would be seen in the list of processes; put them into "
            f"HTTPS_PROXY of the node's environment and say `{ENVIRONMENT}`"
        )
    plain = way.path in ("", "/") and not way.query and not way.fragment
    if way.scheme != "http" or not way.hostname or port is None or not plain:
        raise ValueError(expected)
    return proxy.rstrip("/")


def way_out(proxy: str | None, server: str) -> str | None:
    """The proxy to `server` (HOST:PORT) as an address; None for the direct way.

    The environment counts only where the site says so. Raises ConfigError where it then names a
    proxy that can't be used.
    """
    if proxy != ENVIRONMENT:
        return proxy
    known = getproxies_environment()
    if proxy_bypass(server.rpartition(":")[0].strip("[]")):
        return None
    found = known.get("https") or known.get("all")
    if not found:
        raise ConfigError(
            f"--proxy {ENVIRONMENT}: HTTPS_PROXY is not set; set it, or name the proxy"
        )
    if "://" not in found:
        found = f"http://{found}"
    if not found.startswith("http://") or not urlsplit(found).hostname:
        raise ConfigError("HTTPS_PROXY: expected http://HOST:PORT, also with NAME:PASSWORD@")
    return found


def shown(proxy: str | None) -> str:
    """For people: the way out in words, without a password."""
    if proxy is None:
        return ""
    return " by the proxy of the environment" if proxy == ENVIRONMENT else f" by {proxy}"
