"""SuperExec's end: one message to the trainer, and its answer, within the message's deadline.

A trainer that starts, or starts again, is waited for. One that is silent at the deadline is killed,
for its supervisor to start anew, and one that dies takes its answer with it; both are TrainerLost.
What it had reserved stays reserved, as after any death of a client.
"""

import contextlib
import logging
import math
import os
import signal
import socket
import time
from pathlib import Path

from client.trainer.channel import Stranger, check_peer, connect
from client.trainer.installation import installed
from client.trainer.parcels import NoParcel, Parcel, receive, send
from irene_model.errors import IreneError

_START_S = 300.0  # libraries from a cold disk, after the pauses of a supervisor
_PREPARING_S = 3600.0  # a greeting makes the site read its files, which outlasts who asked
_USUAL_S = 3600.0
_AGAIN_S = 0.1
_log = logging.getLogger(__name__)
_INSTALLED = installed()


class TrainerLost(IreneError):  # noqa: N818  # what happened to it
    """The trainer gave no answer: it ended, was ended, or did not start."""


class OldCode(TrainerLost):
    """This process runs other code than the trainer, and must be started again."""


def patience_s(kind: str, deadline: object, waited_s: float) -> float:
    """How long to wait for the answer to a message of `kind` that was on its way for `waited_s`.

    deadline: what the message says, in seconds; anything else than a number is the usual hour, for
    an answer that will be a refusal.
    """
    known = type(deadline) in (int, float) and math.isfinite(float(deadline))  # type: ignore[arg-type]
    waited_s = waited_s if math.isfinite(waited_s) else 0.0
    left = (float(deadline) if known else _USUAL_S) - max(0.0, waited_s)  # type: ignore[arg-type]
    least = 10.0 if kind in ("train", "evaluate") else _PREPARING_S
    return min(max(left, least), 1e8)


def hand_over(folder: Path, question: Parcel, *, patience_s: float) -> Parcel:
    """The trainer's answer to `question`, of the node in `folder`, waited for by `patience_s`.

    Raises TrainerLost where there is none, and OldCode where other code is installed than runs.
    """
    until = time.monotonic() + patience_s
    peer, pid = _reached(folder, min(until, time.monotonic() + _START_S))
    with peer:
        try:
            peer.settimeout(max(1.0, until - time.monotonic()))
            send(peer, question)
            peer.settimeout(max(1.0, until - time.monotonic()))
            return receive(peer)
        except TimeoutError:
            _end(pid)
            raise TrainerLost("the trainer was silent at the message's deadline") from None
        except (NoParcel, OSError):
            raise TrainerLost("the trainer ended before it had an answer") from None


def _reached(folder: Path, until: float) -> tuple[socket.socket, int]:
    """A connection to the trainer, ready for a message, and its pid."""
    while True:
        pid = None
        try:
            peer = connect(folder, timeout_s=max(0.1, until - time.monotonic()))
            try:
                pid = check_peer(peer, folder, "trainer")
                greeting = receive(peer)
                if greeting.facts.get("installed") != _INSTALLED:
                    raise OldCode("other code is installed than runs here")
                return peer, pid
            except BaseException:
                peer.close()
                raise
        except (OSError, NoParcel, Stranger) as error:
            if time.monotonic() < until:
                time.sleep(_AGAIN_S)
                continue
            if isinstance(error, TimeoutError) and pid is not None:
                _end(pid)
            raise TrainerLost("the trainer did not start") from None


def _end(pid: int) -> None:
    """Kill the trainer that holds this connection, which is what makes the pid its own."""
    _log.error("the trainer is silent; it is ended, to be started again")
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
