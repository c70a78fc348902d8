"""What is left of a disturbed run, judged: rounds, outcomes, weights, results."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from safetensors.numpy import load_file
from transformers import AutoModel

import irene_model.methods.methods
from irene_model.study.federation import server_rate
from irene_model.study.study import Study
from irene_model.weights.weights import to_arrays
from tests.drills.drill_federation import Drill

assert irene_model.methods.methods  # AutoModel must know the project's models
SAID = {
    "nan": "not finite",
    "shape": "has shape",
    "scale": "norm is",
    "study": "of another study",
}
Lines = Sequence[Mapping[str, Any]]
Step = Callable[[Drill], None]


@dataclass(frozen=True, kw_only=True)
class Script:
    """What happens while which round is trained. spoilt: of the last site, by round.

    patients: of each site.
    """

    rounds: int
    sites: Sequence[str]
    spoilt: Mapping[int, str]
    happens: Mapping[int, Sequence[tuple[str, Step]]]
    cut_s: float
    patients: int


@dataclass(kw_only=True)
class Verdict:
    """Figures, and what was not as it has to be."""

    figures: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def expect(self, right: bool, said: str) -> None:
        """Note a fault unless `right`."""
        if not right:
            self.faults.append(said)


def judge(federation: Drill, script: Script, verdict: Verdict) -> None:
    """Whether every site is accounted for in every round, and the weights are what was sent."""
    lines = federation.lines_of("drill")
    folder = federation.run_folder("drill")
    numbers = [line["round"] for line in lines]
    verdict.expect(
        numbers == list(range(1, script.rounds + 1)), f"rounds in the account: {numbers}"
    )
    outcomes: Counter[str] = Counter()
    for line in lines:
        verdict.expect(
            set(line["sites"]) == set(script.sites),
            f"round {line['round']} names {sorted(line['sites'])}",
        )
        outcomes.update(entry["outcome"] for entry in line["sites"].values())
        how = script.spoilt.get(line["round"])
        entry = line["sites"].get(script.sites[-1], {})
        if how is not None:
            verdict.expect(
                entry.get("outcome") == "refused" and SAID[how] in entry.get("reason", ""),
                f"round {line['round']}, {how}: {entry}",
            )
    verdict.figures["sites x rounds"] = dict(outcomes)
    verdict.figures["late"] = [
        f"{late['site']}, round {late['round']}: {late['outcome']}"
        for line in lines
        for late in line["late"]
    ]
    verdict.figures["drill: seconds a round"] = [round(line["seconds"], 1) for line in lines]
    differs = [path for name in script.sites for path in federation.notes(name).rglob("*.differs")]
    verdict.expect(not differs, f"a round was released with other bytes: {differs}")
    worst = max(_weight_errors(federation, lines), default=float("nan"))
    verdict.figures["largest error of a weight"] = worst
    verdict.expect(worst < 1e-6, f"a checkpoint is off by {worst}")
    results = json.loads((folder / "results.json").read_text())
    verdict.expect(results["sites"] == sorted(script.sites), f"results name {results['sites']}")


def _weight_errors(federation: Drill, lines: Lines) -> Iterator[float]:
    """Each round's largest difference to Σ nᵢ uᵢ / Σ nᵢ of the updates that left the hospitals."""
    folder = federation.run_folder("drill")
    study = Study.read(folder / "study.yaml")
    run = json.loads((folder / "run.json").read_text())["run"]

    def weights(number: int) -> dict[str, Any]:
        return to_arrays(AutoModel.from_pretrained(folder / f"checkpoints/round-{number:04d}"))

    for line in lines:
        used = [(name, line["round"], 1.0) for name, entry in line["sites"].items()
                if entry["outcome"] == "updated"]  # fmt: skip
        used += [
            (late["site"], late["round"], late["discount"])
            for late in line["late"]
            if late["outcome"] == "updated"
        ]
        before, after = weights(line["round"] - 1), weights(line["round"])
        sums = {name: np.zeros(array.shape) for name, array in before.items()}
        total = 0.0
        for name, number, factor in used:
            update = load_file(federation.notes(name) / run / f"round-{number:04d}.safetensors")
            weight = factor * float(update.pop("weight")[0])
            total += weight
            for key, array in update.items():
                sums[key] += weight * array.astype(np.float64)
        rate = server_rate(study, line["round"])
        yield max(
            float(np.abs(before[key] + rate * sums[key] / total - after[key]).max())
            for key in before
        )


def compare(federation: Drill, verdict: Verdict) -> None:
    """The model beside that of the undisturbed run."""
    auroc = {}
    for run in ("calm", "drill"):
        results = json.loads((federation.run_folder(run) / "results.json").read_text())
        (arm,) = results["arms"].values()
        auroc[run] = (arm["auroc"]["macro"], *arm["auroc"]["ci95"])
    verdict.figures["AUROC (95 % interval)"] = {
        run: f"{value:.3f} ({low:.3f} to {high:.3f})" for run, (value, low, high) in auroc.items()
    }
    width = auroc["calm"][2] - auroc["calm"][1]
    gap = auroc["drill"][0] - auroc["calm"][0]
    verdict.expect(abs(gap) <= width, f"the AUROC differs by {gap:.3f}, intervals are {width:.3f}")
