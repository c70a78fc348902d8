"""How long a SuperNode waits between two looks for a message: seldom when idle, often in a round.

Flower's loop sleeps 3 s where there was no message and 0.5 s where the client has not answered yet.
In a round, which is a message, a reply and soon the next message, that is most of the time. Here a
look comes after a twentieth of the time since the last message, within bounds: a round is longer by
so much at most, and a node that has nothing to do asks as seldom as Flower's. Where the coordinator
is slow to answer, its nodes ask seldomer.

This leans on Flower's internals. Where they are not as they were, the loop is Flower's own: slower,
and nothing else.
"""

import importlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

_LOOP = "flwr.supernode.start_client_internal"
_IDLE_S, _BUSY_S = 3, 0.5  # Flower's two sleeps
_SHARE = 0.05
_LEAST_S, _LEAST_BUSY_S = 0.3, 0.05  # the coordinator's processor time; this machine's
_ANSWERS = 20  # times what the coordinator took to answer
_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Pauses:
    """In place of the module `time` in Flower's loop, which calls nothing of it but `sleep`."""

    really_sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.monotonic
    _message: float | None = field(default=None, init=False)
    _began: float | None = field(default=None, init=False)  # waiting for the client
    _woke: float = field(default=0.0, init=False)

    def sleep(self, seconds: float) -> None:
        """Sleep for as long as the work of late suggests, where Flower would for `seconds`."""
        now = self.now()
        if seconds == _BUSY_S:
            self._began = now if self._began is None else self._began
            pause = min(_BUSY_S, max(_LEAST_BUSY_S, _SHARE * (now - self._began)))
            self._message = now
        elif seconds == _IDLE_S:
            self._began = None
            pause = self._idle_s(now)
        else:
            pause = seconds
        self.really_sleep(pause)
        self._woke = self.now()

    def _idle_s(self, now: float) -> float:
        if self._message is None:
            return _IDLE_S
        answered = now - self._woke
        often = max(_LEAST_S, _SHARE * (now - self._message), _ANSWERS * answered)
        return min(_IDLE_S, often)


def quicken() -> bool:
    """Give Flower's loop our pauses; False, and a line in the log, where it is another loop."""
    loop = importlib.import_module(_LOOP)
    if not known_loop():
        _log.warning("Flower's loop is another one; messages are looked for at its own pace")
        return False
    loop.time = Pauses()  # type: ignore[attr-defined]
    return True


def known_loop() -> bool:
    """Whether Flower's loop sleeps as it did when this was written."""
    loop = importlib.import_module(_LOOP)
    main = getattr(loop, "start_client_internal", None)
    push = getattr(loop, "_push_messages", None)
    return getattr(loop, "time", None) is time and all(
        _sleeps(function, seconds) for function, seconds in ((main, _IDLE_S), (push, _BUSY_S))
    )


def _sleeps(function: object, seconds: float) -> bool:
    code = getattr(getattr(function, "__wrapped__", function), "__code__", None)
    if code is None:
        return False
    names = set(code.co_names)
    return seconds in code.co_consts and {"time", "sleep"} <= names
