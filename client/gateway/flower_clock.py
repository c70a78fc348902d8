"""Flower signs and dates its messages by the coordinator's time instead of this machine's.

This leans on two of Flower's names. Where they are not as they were when this was written, nothing
is replaced and nothing runs.
"""

import importlib
from collections.abc import Callable
from datetime import UTC, datetime

from irene_model.errors import IreneError

DATED = ("flwr.supernode.node_auth_http_interceptor", "flwr.app.message.message")
"""The modules that ask for the time to sign a request, and to date a message or its reply."""


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
