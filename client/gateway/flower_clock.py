"""Flower signs, dates and waits by the coordinator's time instead of this machine's.

This leans on a few of Flower's names. Where they are not as they were, nothing is replaced and
nothing runs.
"""

import importlib
from collections.abc import Callable
from datetime import UTC, datetime

from irene_model.errors import IreneError

DATED = (
    "flwr.supernode.node_auth_http_interceptor",
    "flwr.app.message.message",
    "flwr.supercore.corestate.in_memory_corestate",
)
"""The modules that ask for the time: to sign a request, to date a message or its reply, and to give
up a program that was not heard of for a minute, which a clock that is set would look like."""


def keep_time(now: Callable[[], float]) -> None:
    """Make `now`, in seconds of Unix time, the clock of what is signed and dated."""

    def date() -> datetime:
        return datetime.fromtimestamp(now(), UTC)

    known = importlib.import_module("flwr.supercore.date").now
    modules = [importlib.import_module(name) for name in DATED]
    for module in modules:
        if getattr(module, "now", None) is not known:
            raise IreneError(
                f"Flower's {module.__name__} does not take its time as it did when this version "
                "was made; nothing was run. Install the versions in constraints.txt"
            )
    for module in modules:
        module.now = date  # type: ignore[attr-defined]
