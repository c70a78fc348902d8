"""Flower's SuperNode, in a process that ends when its main thread does.

Flower's own program can go on without it: a port that is taken, or an answer of the server that
it does not expect, ends its work, and the thread of its local API keeps the process alive for
ever, connected to nothing. A process that ends is started again.
"""

import contextlib
import logging
import os
import sys

_log = logging.getLogger(__name__)


def main() -> None:
    """Run the SuperNode with Flower's own arguments; never returns."""
    code = 1
    try:
        from flwr.supernode.cli import flower_supernode

        flower_supernode()
    except SystemExit as exit:
        code = exit.code if isinstance(exit.code, int) else 1
    except BaseException:
        _log.exception("the SuperNode failed")
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
