"""A hospital's client in the federation drill: the installed one, noted, and sometimes spoiled.

The installed trainer is started as ever; `tests/drills/hand` puts this answer into it. The plan is
a JSON file: `notes`, a folder for every update that leaves; `spoil`, round -> what becomes
of it (`nan`, `shape`, `scale`, `study`); `slowness`, how many times longer everything takes. It is
read for each message, and is what a hospital could do to its own machine.
"""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from client.answers import Asked
from irene_model.exchange.protocol import Arrays, Flat
from irene_model.exchange.replies import TrainReply

HUGE = np.float32(1e4)


class Noted:
    """The installed client's answers with a hand on them."""

    def __init__(self, answer: Callable[[Asked, Mapping[str, Any]], Flat], plan: Path) -> None:
        """`answer`: that of client.answers, before which this stands."""
        self._answer = answer
        self._plan = plan

    def __call__(self, asked: Asked, config: Mapping[str, Any]) -> Flat:
        """The client's reply; an honest update is noted before it goes."""
        plan = json.loads(self._plan.read_text())
        started = time.monotonic()
        reply = self._answer(asked, config)
        time.sleep((plan["slowness"] - 1) * (time.monotonic() - started))
        if asked.kind != "train":
            return reply
        answer = TrainReply.from_flat(reply)
        if answer.outcome != "updated":
            return reply
        how = plan["spoil"].get(str(answer.round))
        if how is not None:
            return spoiled(answer, how).to_flat()
        _note(Path(plan["notes"]) / str(asked.values["run"]), answer)
        return reply


def spoiled(answer: TrainReply, how: str) -> TrainReply:
    """What a broken or hostile site could send in place of `answer`."""
    first = min(answer.arrays)
    changed: Mapping[str, Any]
    match how:
        case "nan":
            bad = answer.arrays[first].copy()
            bad.flat[0] = np.nan
            changed = {"arrays": {**answer.arrays, first: bad}}
        case "shape":
            bad = np.concatenate([answer.arrays[first]] * 2)
            changed = {"arrays": {**answer.arrays, first: bad}}
        case "scale":
            changed = {"arrays": {name: HUGE * array for name, array in answer.arrays.items()}}
        case _:
            changed = {"fingerprint": "0" * 64}
    return answer.model_copy(update=dict(changed))


def _note(folder: Path, answer: TrainReply) -> None:
    """Each update once: what a killed client sends again has to be the same bytes."""
    folder.mkdir(exist_ok=True)
    arrays: Arrays = {**answer.arrays, "weight": np.array([answer.weight])}
    path = folder / f"round-{answer.round:04d}.safetensors"
    work = path.with_suffix(".partial")
    save_file(arrays, work)
    if path.exists() and path.read_bytes() != work.read_bytes():
        work.rename(path.with_suffix(".differs"))
        return
    work.replace(path)
