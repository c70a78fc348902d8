"""The run folder: what a study's execution leaves on disk, and how it is taken up again.

`study.yaml`, `run.json`, `rounds.jsonl` (a line a round), `checkpoints/round-0003/` (the first, the
best and the newest), and at the end `results.json` and `report.html`. A checkpoint is written
beside its place, with the sha256 of each of its files, synced and renamed, so that one that exists
is whole; one that a disk damaged is known by its hashes (`server.runs.manifest`). A round's line
follows its checkpoint.
"""

import importlib.metadata
import json
import platform
import secrets
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from safetensors.numpy import load_file, save_file

from irene_model import __version__
from irene_model.errors import CheckpointError, ConfigError
from irene_model.exchange import Array, Arrays
from irene_model.inputs import IreneProcessor
from irene_model.journal import sync
from irene_model.study import Study, dump
from irene_model.weights import PROVENANCE, StartingPoint, to_arrays
from server.runs import damage, manifest
from server.runs.checkpoint_files import FEWEST, KEPT, place_of, remove, rounds_in, superfluous
from server.runs.disk import add_line, clear_of_disk_errors, write_whole
from server.runs.line_bounds import as_json, clean
from server.runs.lines import Json
from server.runs.model_files import ModelFiles

_STATE = "strategy.safetensors"
_PACKAGES = ("torch", "flwr", "opacus", "transformers", "numpy")


class RunFolder:
    """One run's folder, open for writing. Use `create` or `resume`.

    What is written outlives a power failure, but in a run on synthetic patients alone: there it
    outlives any process.
    """

    def __init__(self, path: Path, study: Study, info: Json) -> None:
        self.path = path
        self.study = study
        self.info = info
        self._models = ModelFiles(study)

    @classmethod
    def create(
        cls,
        path: Path,
        study: Study,
        *,
        seed: int,
        start: StartingPoint | None = None,
        **facts: Any,
    ) -> Self:
        """Start a run with its first weights as round 0: drawn from `seed`, or loaded by `start`.

        `facts` go into run.json. A folder that already holds something is refused, and so are files
        of `start` that don't fit the study, before anything is written.
        """
        if path.exists() and any(path.iterdir()):
            raise ConfigError(f"{path}: is not empty; give a new folder, or resume the run in it")
        model, origin = (start or StartingPoint()).model(study, seed=seed)
        path.mkdir(parents=True, exist_ok=True)
        (path / "study.yaml").write_text(dump(study), encoding="utf-8")
        info = {
            "schema": 1,
            "run": secrets.token_hex(8),
            "study": study.name,
            "fingerprint": study.fingerprint,
            "seed": seed,
            "start": origin,
            "arm": arm_name(study),
            "versions": versions(),
            "started": now(),
            "finished": None,
            **facts,
        }
        folder = cls(path, study, info)
        folder.save_checkpoint(0, to_arrays(model))
        folder.update_info()
        return folder

    @classmethod
    def resume(cls, path: Path) -> Self:
        """Open the run in `path` at its last whole round: one with a checkpoint and a line.

        What is left of a later one goes. It is trained again, and sites that had released their
        update send the same bytes again.
        """
        try:
            info = json.loads((path / "run.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise CheckpointError(f"{path}: no run to resume: run.json is missing") from None
        except ValueError:
            raise CheckpointError(f"{path / 'run.json'}: is not valid JSON") from None
        study = Study.read(path / "study.yaml")
        if study.fingerprint != info.get("fingerprint"):
            raise CheckpointError(f"{path / 'study.yaml'}: was changed since the run started")
        folder = cls(path, study, info)
        damage.set_aside(folder.checkpoints)
        lines = folder.rounds()
        # Sites may have been asked for it: its beginning is in no line (server.runs.accounting).
        begun = max([folder.last_round, *(line["round"] for line in lines)]) + 1
        begun = max([begun, *info.get("restarted", [])])
        lost = damage.stand_in(folder.checkpoints, newest=folder.last_round, begun=begun)
        newest = folder.last_round
        kept = [line for line in lines if line["round"] <= newest]
        if len(kept) < newest - 1:
            raise CheckpointError(
                f"{path / 'rounds.jsonl'}: lacks the line of round {len(kept) + 1}, which only the "
                "last round may; restore the file"
            )
        text = "".join(json.dumps(line) + "\n" for line in kept)
        write_whole(path / "rounds.jsonl", text, durable=folder.durable)
        if len(kept) == newest - 1:
            shutil.rmtree(folder.checkpoint(newest))
            begun = max([newest, *info.get("restarted", [])])
        again = {*info.get("restarted", []), *range(folder.last_round + 1, begun + 1)}
        if lost:
            folder.update_info(lost_rounds=sorted({*info.get("lost_rounds", []), *lost}))
        folder.update_info(restarted=sorted(again), stopped=None)
        return folder

    @property
    def durable(self) -> bool:
        """Whether the disk must have what is written: real patients' sites take part."""
        return self.info.get("synthetic") is not True

    @property
    def last_round(self) -> int:
        """The newest round with a whole checkpoint."""
        found = rounds_in(self.checkpoints)
        if not found:
            raise CheckpointError(f"{self.path}: the run has no checkpoint")
        return found[-1]

    @property
    def checkpoints(self) -> Path:
        """The folder of all of them."""
        return self.path / "checkpoints"

    def checkpoint(self, round: int) -> Path:
        """The folder of a round's weights and processor, for their `from_pretrained`."""
        return place_of(self.checkpoints, round)

    def load_checkpoint(self, round: int) -> Arrays:
        """The weights after `round`."""
        return self._models.read(self.checkpoint(round))

    def load_state(self, round: int) -> Arrays:
        """What the strategy kept after `round`; nothing for one that keeps nothing."""
        path = self.checkpoint(round) / _STATE
        state: Arrays = load_file(path) if path.exists() else {}
        return state

    def save_checkpoint(
        self, round: int, weights: Mapping[str, Array], state: Mapping[str, Array] | None = None
    ) -> None:
        """Write the weights after `round` and the strategy's `state`, atomically together."""
        with clear_of_disk_errors(self.path):
            self._save_checkpoint(round, weights, state)

    def _save_checkpoint(
        self, round: int, weights: Mapping[str, Array], state: Mapping[str, Array] | None
    ) -> None:
        place = self.checkpoint(round)
        work = place.with_suffix(".partial")
        shutil.rmtree(work, ignore_errors=True)
        self._models.write(work, weights)
        self._processor.save_pretrained(work)
        if self.info.get("start"):
            origin = {"kind": "run", "round": round, **self._origin}
            (work / PROVENANCE).write_text(as_json(origin, indent=2) + "\n", encoding="utf-8")
        if state:
            save_file(dict(state), work / _STATE)
        manifest.write(work)
        for written in work.iterdir() if self.durable else ():
            sync(written)
        shutil.rmtree(place, ignore_errors=True)  # only a round of a run that was cut off here
        work.rename(place)
        if self.durable:
            sync(place.parent)

    @cached_property
    def _processor(self) -> IreneProcessor:
        return IreneProcessor(self.study)

    def thin(self, lines: Sequence[Json]) -> None:
        """Remove the checkpoints that neither a reader nor a resumption needs after `lines`."""
        told = self.info.get("keep_checkpoints", KEPT)
        keep = max(FEWEST, told) if isinstance(told, int) else KEPT
        remove(self.checkpoints, superfluous(rounds_in(self.checkpoints), keep, lines))

    @property
    def start_told(self) -> Json:
        """What became of each site's evaluation of the first weights, where there was one."""
        judged: Json = (self.info.get("start_only") or {}).get("evaluation") or {}
        told: Json = judged.get("sites") or {}
        return told

    @property
    def _origin(self) -> Json:
        """What a checkpoint says of where its weights come from."""
        return {key: self.info[key] for key in ("run", "study", "fingerprint", "arm", "start")}

    def rounds(self) -> list[Json]:
        """The lines of rounds.jsonl; a last line cut off by a crash is left out."""
        path = self.path / "rounds.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        result = []
        for line in lines:
            try:
                result.append(clean(json.loads(line)))
            except (ValueError, AttributeError):  # no JSON, or no object
                break
        return result

    def append_round(self, line: Json) -> None:
        """Add a round's line."""
        add_line(self.path / "rounds.jsonl", as_json(line), durable=self.durable)

    def update_info(self, **facts: Any) -> None:
        """Change run.json, atomically; nothing is written that is there already."""
        if facts and facts.items() <= self.info.items():
            return
        self.info.update(facts)
        text = as_json(self.info, indent=2) + "\n"
        write_whole(self.path / "run.json", text, durable=self.durable)

    def write_results(self, results: Json) -> Path:
        """Write results.json, atomically."""
        path = self.path / "results.json"
        write_whole(path, as_json(results, indent=2) + "\n", durable=self.durable)
        return path


def arm_name(study: Study) -> str:
    """How results.json calls this way to train."""
    if not study.privacy.enabled:
        return "federated"
    return "federated-dp" if study.federation.secure is None else "federated-secure"


def versions(packages: Sequence[str] = _PACKAGES) -> dict[str, str]:
    """Versions of what computes the results."""
    found = {name: importlib.metadata.version(name) for name in packages}
    return {"federated-irene": __version__, "python": platform.python_version(), **found}


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
