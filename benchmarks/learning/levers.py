"""What helps a private federation learn: one setting changed at a time, over seeds.

Pooled at one place with the noise of secure sums (one mechanism over all sites' patients, of which
`colluding` of the sites know their own part), which is what the federation computes up to the
rounding of its sums. Levers that the product does not have are here, and only here: averaged
weights, and Adam that subtracts the noise from its second moment.
"""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from client.budget import Plan
from client.private import Randomness
from client.records import open_dataset
from client.site import Site
from client.training import exact_histograms, local_update
from irene_model.console import new_app, run_app
from irene_model.exchange import Array, Arrays
from irene_model.metrics import macro_auroc
from irene_model.study import Study, server_rate
from irene_model.weights import load_arrays, new_model, to_arrays
from server.aggregation import FedAdam
from simulations.compare import Member, plan_at_one_place, pool_patients
from simulations.hospitals import Scenario, without_sums, write_hospitals

_BETA_2, _AVERAGED, _LEAST = 0.999, 0.95, 0.1


@dataclass(frozen=True, kw_only=True)
class Lever:
    """Settings over the scenario's own, and what the product lacks."""

    settings: tuple[str, ...] = ()
    averaged: bool = False
    corrected: bool = False


LEVERS = {
    "as it is": Lever(),
    "no linear path": Lever(settings=("model.linear_path=false",)),
    "head and path alone": Lever(settings=("training.parameters.kind=head",)),
    "another block": Lever(settings=("model.num_hidden_layers=3",)),
    "word vectors half as wide": Lever(settings=("text.width=*0.5",)),
    "half the rounds": Lever(settings=("federation.rounds=*0.5",)),
    "half the batch": Lever(settings=("training.expected_batch=*0.5",)),
    "half the rate": Lever(settings=("federation.server_learning_rate=*0.5",)),
    "twice the rate": Lever(settings=("federation.server_learning_rate=*2",)),
    "clip 0.3": Lever(settings=("privacy.clip_norm=0.3",)),
    "averaged weights": Lever(averaged=True),
    "Adam without the noise's share": Lever(corrected=True),
}
app = new_app("What helps a private federation learn, one lever at a time.")


@app.command(no_args_is_help=True)
def measure(
    scenario: Annotated[Path, typer.Argument(help="A scenario with secure sums, as demo.yaml.")],
    out: Annotated[Path, typer.Option(help="A folder: hospitals, and a line a training.")],
    seed: Annotated[list[int], typer.Option(help="May be given more than once.")],
    changed: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE for all.")] = None,
    only: Annotated[list[str] | None, typer.Option(help=", ".join(LEVERS))] = None,
) -> None:
    """Train each lever with each seed; what `--out` has already is left out.

    Example: `python -m benchmarks.learning.levers simulations/scenarios/demo.yaml --seed 0
    --out runs/levers`
    """
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    for each in seed:
        sites = _hospitals(scenario, changed or [], out / f"seed-{each}", each)
        lines = out / f"seed-{each}.jsonl"
        text = lines.read_text(encoding="utf-8") if lines.exists() else ""
        done = {json.loads(line)["lever"] for line in text.splitlines()}
        for name in only or LEVERS:
            if name in done:
                continue
            told = _trained(scenario, changed or [], LEVERS[name], sites, seed=each)
            line = json.dumps({"lever": name, "seed": each, **told})
            with lines.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
            typer.echo(line)


def _hospitals(scenario: Path, changed: list[str], folder: Path, seed: int) -> list[Path]:
    if not (folder / "study.yaml").exists():
        write_hospitals(Scenario.read(scenario, changed), folder, seed=seed)
    return sorted(folder.glob("*/site.yaml"))


def _trained(
    scenario: Path, changed: list[str], lever: Lever, paths: list[Path], *, seed: int
) -> dict[str, Any]:
    """AUROC on all sites' test patients after the last round, and processor seconds."""
    whole = _with(scenario, changed, lever)
    study = without_sums(whole, len(paths))
    members = [
        Member(site=site, dataset=open_dataset(site, study)) for site in map(Site.read, paths)
    ]
    secure = whole.federation.secure
    colluding = 0 if secure is None else secure.colluding
    started = time.process_time()
    weights = _learned(study, members, lever, seed=seed, honest=1 - colluding / len(paths))
    seconds = time.process_time() - started
    pooled = pool_patients([member.dataset for member in members])
    auroc = macro_auroc([exact_histograms(weights, pooled, "test", torch.device("cpu"))])
    return {"auroc": auroc, "seconds": seconds, "rounds": study.federation.rounds}


def _with(scenario: Path, changed: list[str], lever: Lever) -> Study:
    """`*2` in a lever's setting is twice the scenario's own."""
    own = Scenario.read(scenario, changed).study
    settings = list(changed)
    for setting in lever.settings:
        key, _, value = setting.partition("=")
        if value.startswith("*"):
            part, _, field = key.rpartition(".")
            now = getattr(getattr(own, part), field)
            value = str(type(now)(now * float(value[1:])))
        settings.append(f"{key}={value}")
    return Scenario.read(scenario, settings).study


def _learned(
    study: Study, members: list[Member], lever: Lever, *, seed: int, honest: float
) -> Arrays:
    pooled = pool_patients([member.dataset for member in members])
    model, strategy = new_model(study, seed=seed), FedAdam()
    weights = averaged = to_arrays(model)
    for round in range(1, study.federation.rounds + 1):
        load_arrays(model, weights)
        plan = plan_at_one_place(study, members, round)
        mechanism = plan.mechanism
        noise = mechanism.noise_multiplier / math.sqrt(honest)
        plan = replace(plan, mechanism=replace(mechanism, noise_multiplier=noise))
        if lever.corrected:
            strategy = Corrected.going_on(strategy, _variance(plan))
        update = local_update(
            model,
            dataset=pooled,
            plan=plan,
            randomness=Randomness.reproducible(seed=seed, site="pool", round=round),
            device=torch.device("cpu"),
        )
        weights = strategy.apply(weights, update, server_rate(study, round))
        share = min(_AVERAGED, (1 + round) / (10 + round))
        averaged = _mixed(averaged, weights, share)
    return averaged if lever.averaged else weights


def _mixed(before: Arrays, now: Arrays, share: float) -> Arrays:
    return {name: share * before[name] + (1 - share) * now[name] for name in now}


def _variance(plan: Plan) -> float:
    """Of the noise in each number of a step's mean gradient."""
    noise = plan.mechanism.noise_multiplier * plan.clip_norm * plan.learning_rate
    return (noise / plan.expected_batch) ** 2


@dataclass
class Corrected(FedAdam):
    """The second moment without the noise's variance (Tang et al. 2023, "DP-AdamBC", algorithm 1).

    `variance` is that of a step's mean gradient; at least a tenth of it is left.
    """

    variance: float = 0.0

    @classmethod
    def going_on(cls, strategy: FedAdam, variance: float) -> "Corrected":
        """With the moments that `strategy` has reached."""
        return cls(state=strategy.state, variance=variance)

    def apply(self, weights: Mapping[str, Array], mean: Mapping[str, Array], rate: float) -> Arrays:
        """As Adam's step, times the ratio of both roots."""
        plain = super().apply(weights, mean, rate)
        return {
            name: weights[name] + self._ratio(name) * (plain[name] - weights[name])
            if name in mean
            else weights[name]
            for name in weights
        }

    def _ratio(self, name: str) -> Array:
        steps = np.maximum(self.state[f"t.{name}"], 1).astype(np.float64)
        second = self.state[f"v.{name}"] / (1 - _BETA_2**steps)
        without = np.maximum(second - self.variance, _LEAST * self.variance)
        return np.sqrt(second / without).astype(np.float32)


if __name__ == "__main__":
    run_app(app)
