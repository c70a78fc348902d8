"""The proxies that an environment names, and what never uses one.

Flower's HTTP clients obey proxy variables for 127.0.0.1 as well: two processes of one machine then
talk through the house's proxy, or not at all.
"""

from collections.abc import Mapping

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def without_proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` naming no proxy at all, under whatever name, and none for loopback."""
    kept = {name: value for name, value in environment.items() if not _is_proxy(name)}
    return {**kept, **_loopback("")}


def loopback_direct(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` with its proxies, of which none is for loopback."""
    known = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    return {**environment, **_loopback(known)}


def _is_proxy(name: str) -> bool:
    return name.lower().endswith("_proxy")


def _loopback(known: str) -> dict[str, str]:
    # Both spellings: which of them counts differs between programs.
    hosts = [host.strip() for host in known.split(",")]
    direct = ",".join(dict.fromkeys([*filter(None, hosts), *LOOPBACK]))
    return {"NO_PROXY": direct, "no_proxy": direct}
