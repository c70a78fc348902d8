"""Training that is not finished yet, on disk: a whole epoch's state, replaced as one file.

`OUT/unfinished.safetensors` holds the weights, the best ones so far and AdamW's moments, and in its
metadata the settings and each epoch's AUROC. It goes when `provenance.json`, written last, says
that the model beside it is whole.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from irene_model.errors import CheckpointError, ConfigError
from irene_model.exchange import Array, Arrays
from irene_model.journal import sync
from irene_model.metrics import best_round
from irene_model.weights import PROVENANCE, UNFINISHED, Told


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """What `epoch` epochs have left: `best` are the weights of `kept_epoch`."""

    epoch: int
    weights: Arrays
    best: Arrays
    moments: Mapping[str, Array] = field(default_factory=dict)
    validation: Mapping[int, float | None] = field(default_factory=dict)

    @property
    def kept_epoch(self) -> int:
        """The earliest epoch with the best AUROC; the last one where none has a value."""
        return best_round(self.validation) if self.validation else 0

    def after(
        self, epoch: int, weights: Arrays, auroc: float | None, optimizer: torch.optim.Optimizer
    ) -> "Unfinished":
        """The state one epoch on."""
        validation = {**self.validation, epoch: auroc}
        moments = {
            f"{index}.{name}": value.detach().cpu().numpy().copy()
            for index, values in optimizer.state_dict()["state"].items()
            for name, value in values.items()
        }
        return Unfinished(
            epoch=epoch,
            weights=weights,
            best=weights if best_round(validation) == epoch else self.best,
            moments=moments,
            validation=validation,
        )

    def restore(self, optimizer: torch.optim.Optimizer) -> None:
        """Give `optimizer` its moments back."""
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in self.moments.items():
            index, _, part = name.partition(".")
            state.setdefault(int(index), {})[part] = torch.from_numpy(np.array(value))
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})

    def save(self, out: Path, facts: Mapping[str, Any]) -> None:
        """Replace the state in `out`."""
        arrays = {
            f"{kind}/{name}": np.ascontiguousarray(array)
            for kind in ("weights", "best", "moments")
            for name, array in getattr(self, kind).items()
        }
        told = {"facts": facts, "epoch": self.epoch, "validation": list(self.validation.items())}
        work = out / f"{UNFINISHED}.partial"
        save_file(arrays, work, metadata={"told": json.dumps(told)})
        sync(work)
        work.replace(out / UNFINISHED)

    @classmethod
    def read(cls, path: Path, facts: Mapping[str, Any]) -> Self:
        """The state in `path`; ConfigError where it was begun with other `facts`."""
        try:
            with safe_open(path, framework="np") as file:
                told = json.loads(file.metadata()["told"])
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, ValueError, KeyError, TypeError):
            raise CheckpointError(f"{path}: is damaged; remove it and begin anew") from None
        changed = [key for key, value in facts.items() if told["facts"].get(key) != value]
        if changed:
            raise ConfigError(
                f"{path.parent}: was begun with another {changed[0]}; give the same again, or a "
                "new folder"
            )
        kinds: dict[str, Arrays] = {"weights": {}, "best": {}, "moments": {}}
        for name, array in arrays.items():
            kind, _, own = name.partition("/")
            kinds[kind][own] = array
        return cls(epoch=told["epoch"], validation=dict(told["validation"]), **kinds)


def begin(out: Path, facts: Mapping[str, Any]) -> Unfinished | None:
    """What an interrupted call left in `out`; None in a folder that is new or empty."""
    out.mkdir(parents=True, exist_ok=True)
    if (out / PROVENANCE).exists():
        raise ConfigError(f"{out}: holds a finished model; give a new folder")
    if (out / UNFINISHED).exists():
        return Unfinished.read(out / UNFINISHED, facts)
    if any(each.suffix != ".partial" for each in out.iterdir()):
        raise ConfigError(f"{out}: is not empty; give a new folder")
    return None


def finish(out: Path, told: Told) -> None:
    """The model in `out` is whole: say so, and let the state go."""
    told.write(out)
    (out / UNFINISHED).unlink()
