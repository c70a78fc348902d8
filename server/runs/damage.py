"""Checkpoints that a disk damaged: set aside before a run is taken up again, and stood in for.

A site keeps the bytes of the newest two updates of a run, and sends neither an older round again
nor a second noise for one charge. So a round that is older than that can't be trained again, and a
run that asked for it would wait for ever: the weights before it stand in its place, its updates are
lost, and what they cost is counted.
"""

import logging
import secrets
import shutil
from pathlib import Path

from irene_model.journal import sync
from server.runs import manifest
from server.runs.checkpoint_files import place_of, rounds_in

_log = logging.getLogger(__name__)
_KEPT = 2  # updates of a run whose bytes a site keeps: client.ledger.ledger


def set_aside(folder: Path) -> None:
    """Rename the checkpoints in `folder` that are not what their manifest says, newest first."""
    for round in reversed(rounds_in(folder)):
        place = place_of(folder, round)
        problem = manifest.problem_of(place)
        if problem is None:
            break
        aside = place.with_suffix(f".damaged-{secrets.token_hex(3)}")
        place.rename(aside)
        sync(folder)
        _log.error(
            "%s: %s; it is kept as %s, and the run goes on from the checkpoint before",
            place,
            problem,
            aside.name,
        )


def stand_in(folder: Path, *, newest: int, begun: int) -> list[int]:
    """Put the checkpoint of round `newest` in the place of the last that no site can send again.

    begun: the last round that sites may have been asked for. Gives the rounds that are lost.
    """
    lost = list(range(newest + 1, begun - _KEPT + 1))
    if lost:
        place = place_of(folder, lost[-1])
        work = place.with_suffix(".partial")
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(place_of(folder, newest), work)
        for copied in work.iterdir():
            sync(copied)
        work.rename(place)
        sync(folder)
        _log.error(
            "rounds %d to %d are lost: sites keep the updates of two rounds and can't send these "
            "again, so the weights of round %d stand in their place",
            *(lost[0], lost[-1], newest),
        )
    return lost
