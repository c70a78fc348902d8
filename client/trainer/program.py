"""What starts the trainer: read also where the trainer's own file is gone, to say so."""

import sys
from pathlib import Path

NAME, MODULE = "trainer", "client.trainer.trainer"
TRIAL = "trial"
"""In place of a folder: only see whether it can be started."""


def command(folder: Path | str) -> tuple[str, ...]:
    """What starts the trainer of the node in `folder`: this Python, and the installed module."""
    return (sys.executable, "-P", "-m", MODULE, str(folder))
