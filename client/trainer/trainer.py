"""The process that answers: it holds libraries, data and model between messages.

It answers one message after another, each judged as if it were the first: site.yaml, approvals,
limits, ledger and the files' stamps are read again, and only what they say to be the same is taken
from memory. Where the installed code has changed, and after a time without work, it starts itself
anew, which gives all memory back, that of a GPU too.
"""

import ctypes
import faulthandler
import gc
import logging
import os
import select
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from client.trainer.channel import Stranger, check_peer, listen
from client.trainer.handover import patience_s
from client.trainer.installation import installed
from client.trainer.parcels import NoParcel, Parcel, receive, send
from client.trainer.program import TRIAL, command
from irene_model.errors import IreneError

_TURN_S = 5.0
_TALK_S = 60.0  # without a byte, once a message has begun to travel
_GRACE_S = 30.0  # the other side ends what hangs, as long as it lives itself
_IDLE_S = 600.0
_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Trainer:
    """One trainer.

    warm: whether it holds anything that was made for a message. shaken: after an error that nobody
    expected, which may have left anything behind, as of a GPU.
    """

    folder: Path
    idle_s: float = _IDLE_S
    warm: bool = field(default=False, init=False)
    shaken: bool = field(default=False, init=False)
    _worked: float = field(default_factory=time.monotonic, init=False)

    def serve(self) -> None:
        """Answer messages for ever, until it is time to start anew."""
        known = installed()
        with listen(self.folder) as listener:
            import client.participant  # noqa: F401  # seconds, which no message should wait for

            gc.freeze()  # what stays for good need not be looked through after each message
            while installed() == known and not self._idle and not self.shaken:
                if select.select([listener], [], [], min(_TURN_S, self.idle_s))[0]:
                    peer, _ = listener.accept()
                    with peer:
                        self._answer(peer, known)

    @property
    def _idle(self) -> bool:
        return self.warm and time.monotonic() - self._worked > self.idle_s

    def _answer(self, peer: socket.socket, known: str) -> None:
        """One message; whoever goes away or is a stranger gets none."""
        peer.settimeout(_TALK_S)
        try:
            check_peer(peer, self.folder, "superexec")
            if installed() != known:
                return  # the new code is to answer
            send(peer, Parcel(facts={"installed": known}))
            question = receive(peer)
            self.warm = True
            reply = _reply(question)
            self.idle_s = _idle_s(question)
            del question
            self._worked = time.monotonic()
            self.shaken = reply.facts["values"].get("code") == "error"
            send(peer, reply)
        except (NoParcel, Stranger, OSError) as error:
            if not isinstance(error, NoParcel | Stranger):
                _log.warning("an answer could not be handed back (%s)", error.strerror or "timeout")
        finally:
            _give_memory_back()


def _reply(question: Parcel) -> Parcel:
    """The site's answer; where all else fails, this process ends some time after the deadline."""
    from client.answers import Asked, safe_answer

    facts = question.facts
    kind, waited_s = str(facts["kind"]), float(facts["waited_s"])
    values, config = dict(facts["values"]), dict(facts["config"])
    asked = Asked(
        kind=kind, created_at=float(facts["created_at"]), values=values, arrays=question.arrays
    )
    longest_s = patience_s(kind, values.get("deadline"), waited_s) + _GRACE_S
    faulthandler.dump_traceback_later(longest_s, exit=True)
    try:
        reply = safe_answer(asked, config)
    finally:
        faulthandler.cancel_dump_traceback_later()
    return Parcel(facts={"values": reply.values}, arrays=reply.packed())


def _idle_s(question: Parcel) -> float:
    """What site.yaml says now; the usual time where it can't be read."""
    from client.site import Site

    try:
        return Site.read(Path(str(question.facts["config"]["site"]))).trainer.idle_s
    except (IreneError, KeyError):
        return _IDLE_S


def _give_memory_back() -> None:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def start_anew(folder: Path) -> None:
    """Replace this process by a new one of the code that is installed now; all memory goes."""
    from client.devices import end_workers

    _log.info("starting anew")
    end_workers()
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.execv(sys.executable, command(folder))


def main() -> None:
    """Serve the node whose folder is the argument; never returns but by a signal."""
    from irene_model.console import configure_logging

    configure_logging()
    if sys.argv[1] == TRIAL:
        return
    folder = Path(sys.argv[1])
    Trainer(folder=folder).serve()
    start_anew(folder)


if __name__ == "__main__":
    main()
