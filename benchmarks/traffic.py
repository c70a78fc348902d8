"""What each encoding of updates and weights costs in AUROC and saves in bytes.

The demo's hospitals, fewer and for fewer rounds, train with the same patients, the same noise and
the same first weights under every encoding; messages go from function to function. About five
minutes an encoding on one core:

    python -m benchmarks.traffic --out runs/traffic
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from client.participant import Participant
from client.site import Site
from irene_model.console import new_app, run_app
from irene_model.exchange import EvaluateRequest, TrainRequest
from irene_model.study import Study, rounded, server_rate, travelling_bytes
from irene_model.weights import new_model, to_arrays, trained_names
from server.aggregation import Judge, WeightedMean, strategy_for
from server.evaluation import SiteHistograms, pool
from simulations.hospitals import Scenario, write_hospitals

app = new_app(
    "What each encoding costs in AUROC and saves in bytes.\n"
    "\n"
    "Start here: `python -m benchmarks.traffic --out runs/traffic`\n"
)
SCENARIO = Path(__file__).parents[1] / "simulations" / "scenarios" / "demo.yaml"
# Up, down.
ENCODINGS = (
    ("float32", "float32"),
    ("bfloat16", "bfloat16"),
    ("float16", "float16"),
    ("int8", "bfloat16"),
    ("int8", "int8"),
)


def scenario_of(up: str, down: str, *, patients: int, rounds: int) -> Scenario:
    """The demo with exact metrics and a fixed noise."""
    return Scenario.read(
        SCENARIO,
        [
            f"cohort.patients={patients}",
            f"federation.rounds={rounds}",
            f"federation.wire={up}",
            f"federation.wire_down={down}",
            "privacy.noise_multiplier=0.6",
            "evaluation.noise_multiplier=0",
        ],
    )


def train(study: Study, participants: list[Participant], run: str) -> tuple[float, str, int]:
    """AUROC on all sites' test patients, its interval, and the bytes of all rounds."""
    model = new_model(study, seed=1)
    weights, bytes_sent = to_arrays(model), 0
    strategy, judge = strategy_for(study, {}), Judge(study, trained_names(model), ())
    for round in range(1, study.federation.rounds + 1):
        judge.begin(weights)
        mean = WeightedMean(weights)
        sent = rounded(weights, study.federation.wire_down)
        for each in participants:
            reply = each.train(TrainRequest.about(study, run=run, round=round, arrays=sent))
            mean.add(judge.contribution(reply))
            bytes_sent += travelling_bytes(weights, study.federation.wire_down)
            bytes_sent += travelling_bytes(reply.arrays, reply.wire)
        weights = strategy.apply(weights, mean.result(), server_rate(study, round))
    histograms = {}
    for each in participants:
        request = EvaluateRequest.about(study, run=run, round=round, split="test", arrays=weights)
        histograms[each.site.site] = SiteHistograms.read(
            each.site.site, each.evaluate(request), len(study.labels)
        )
    found = pool(histograms, study.labels, np.random.default_rng(1), prior=study.model.prior)
    auroc = found.as_dict()["auroc"]
    low, high = auroc["ci95"]
    return auroc["macro"], f"{low:.4f}-{high:.4f}", bytes_sent


@app.command()
def main(
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder for the hospitals.")],
    patients: Annotated[int, typer.Option(min=8, help="Of all hospitals together.")] = 3000,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds under each encoding.")] = 30,
) -> None:
    """One line for each encoding."""
    whole = 0
    for up, down in ENCODINGS:
        scenario = scenario_of(up, down, patients=patients, rounds=rounds)
        if not out.exists():
            write_hospitals(scenario, out, seed=1)
        free = {"budget": "none", "metrics": "exact", "minimum_group": 1}
        ledger = {"ledger": Path(f".irene/{up}-{down}.sqlite")}
        sites = [Site.read(path) for path in sorted(out.glob("*/site.yaml"))]
        participants = [
            Participant(site=site.model_copy(update={**free, **ledger}), simulation_seed=1)
            for site in sites
        ]
        auroc, interval, size = train(scenario.study, participants, run=f"{up}-{down}")
        whole = whole or size
        typer.echo(
            f"up {up:8} down {down:8} auroc {auroc:.4f} ({interval})  "
            f"{size / 1e6:.1f} MB, {size / whole:.1%} of float32"
        )


if __name__ == "__main__":
    run_app(app)
