"""run.log: what the server logs while a run goes on, in the run's folder. Counts and durations."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from irene_model.errors import IreneError
from irene_model.study import OneLine

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@contextlib.contextmanager
def run_log(path: Path) -> Iterator[None]:
    """The server's log goes to the end of `path` alone: a terminal shows the rounds' own lines.

    The reason why a run ends early is its last line.
    """
    logger = logging.getLogger("server")
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(OneLine(_FORMAT))
    before = (logger.level, logger.propagate)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    except IreneError as error:
        logger.error("the run ends: %s", error)
        raise
    finally:
        logger.setLevel(before[0])
        logger.propagate = before[1]
        logger.removeHandler(handler)
        handler.close()
