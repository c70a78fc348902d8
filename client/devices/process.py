"""The process of one further device: it lives as long as the process that started it, no longer.

Started by `client.devices.workers` with the number of a socket that it inherits. Its standard error
is the starter's, which is the trainer's log. It loads libraries once it is sure to end in time.
"""

import contextlib
import logging
import os
import select
import sys
import threading
from multiprocessing.connection import Connection

from irene_model.console import configure_logging
from irene_model.errors import IreneError

_log = logging.getLogger(__name__)


def _go_with(starter: int) -> None:
    """End this process at once when the other end of the socket is closed, whatever it does."""
    poll = select.poll()
    poll.register(starter, select.POLLRDHUP)
    poll.poll()
    os._exit(1)


def main() -> None:
    """Work for the process at the other end of the socket whose number is the argument."""
    configure_logging()
    number = int(sys.argv[1])
    threading.Thread(target=_go_with, args=[number], daemon=True).start()
    starter = Connection(number)
    try:
        from client.devices.worker import Worker

        Worker(starter).serve()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the starter has gone
    except Exception as error:
        if isinstance(error, IreneError):
            _log.error("%s", error)
        else:
            _log.exception("unexpected error")
        with contextlib.suppress(OSError):
            starter.send(type(error).__name__)


if __name__ == "__main__":
    main()
