"""Flower signs, dates and waits by the coordinator's time instead of this machine's.

This leans on a few of Flower's names. Where they are not as they were, nothing is replaced and
nothing runs.
"""

import importlib
from collections.abc import Callable
from datetime import UTC, datetime

from irene_model.errors import IreneError

SIGNED = "flwr.supernode.node_auth_http_interceptor"
"""The module that asks for the time to sign a request."""
DATED = ("flwr.app.message.message", "flwr.supercore.corestate.in_memory_corestate")
"""Those that date a message or its reply, and give up a program that was not heard of for a minute,
which a clock that is set would look like."""


def keep_time(now: Callable[[], float], *, sign: Callable[[], float] | None = None) -> None:
    """Make `now`, in seconds of Unix time, Flower's clock; `sign` that of what is signed."""
    clocks = {**dict.fromkeys(DATED, now), SIGNED: sign or now}
    known = importlib.import_module("flwr.supercore.date").now
    modules = {name: importlib.import_module(name) for name in clocks}
    for name, module in modules.items():
        if getattr(module, "now", None) is not known:
            raise IreneError(
                f"Flower's {name} does not take its time as it did when this version "
                "was made; nothing was run. Install the versions in constraints.txt"
            )
    for name, module in modules.items():
        module.now = _clock(clocks[name])  # type: ignore[attr-defined]


def _clock(seconds: Callable[[], float]) -> Callable[[], datetime]:
    return lambda: datetime.fromtimestamp(seconds(), UTC)
