"""The end of a program of Flower's: nothing that it leaves behind keeps its process alive."""

import contextlib
import logging
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from irene_model.errors import IreneError

_log = logging.getLogger(__name__)


def run_and_end(program: Callable[[], None], *, name: str) -> NoReturn:
    """Run `program` and end the process with its exit code, whatever threads still live."""
    code = 1
    try:
        program()
    except IreneError as error:
        _log.error("%s", error)
    except SystemExit as exit:
        code = exit.code if isinstance(exit.code, int) else 1
    except BaseException:
        _log.exception("%s failed", name)
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
