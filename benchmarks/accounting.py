"""What it costs a run to tell after each round what was spent, and a site to find its noise.

    OMP_NUM_THREADS=1 python -m benchmarks.accounting

For federations of several lengths: one site's seconds for the first round, for the median and the
longest of all rounds, and for all together, as `server.runs.accounting` has them composed; and the
seconds to calibrate the site's noise, once.
"""

import math
import statistics
import time
from typing import Annotated

import typer

import irene_model.privacy.accountants as privacy
from irene_model.console import new_app, run_app
from irene_model.privacy import Mechanism, epsilons, noise_multiplier_for
from irene_model.study import Study
from server.runs import spent_until

app = new_app("Seconds that accounting takes in a run.\n")
_COMPARED = ((1.0, 0.05, 50), (1.18, 0.0853, 72), (4.0, 0.01, 1000))  # docs/privacy.md has them


@app.command()
def measure(
    *,
    epsilon: Annotated[float, typer.Option(min=0.01, help="Of the whole run.")] = 8.0,
    rate: Annotated[float, typer.Option(min=1e-6, max=1.0, help="Sampling rate.")] = 0.0853,
    local_steps: Annotated[int, typer.Option(min=1, help="Steps a round.")] = 6,
    rounds: Annotated[str, typer.Option(help="Lengths of the runs.")] = "12,100",
) -> None:
    """Measure runs of several lengths.

    Example: `python -m benchmarks.accounting --rate 0.01 --local-steps 20 --rounds 50`
    """
    typer.echo("rounds  noise  calibrated  first  median  longest  all rounds")
    for length in map(int, rounds.split(",")):
        privacy._curve.cache_clear()
        noise_multiplier_for.cache_clear()
        started = time.perf_counter()
        noise = noise_multiplier_for(
            epsilon, delta=1e-5, sample_rate=rate, steps=length * local_steps
        )
        calibrated = time.perf_counter() - started
        privacy._prv.cache_clear()
        taken = _rounds(_study(length, local_steps), noise, rate)
        typer.echo(
            f"{length:6}  {noise:5.4g}  {calibrated:8.2f} s  {taken[0]:5.3f}  "
            f"{statistics.median(taken):6.3f}  {max(taken):7.3f}  {sum(taken):8.1f} s"
        )
    typer.echo("noise, rate, steps (delta = 1e-5): RDP, PRV")
    for noise, drawn, steps in _COMPARED:
        one = Mechanism(noise_multiplier=noise, sample_rate=drawn, steps=steps)
        both = epsilons([one], delta=1e-5)
        typer.echo(f"{noise}, {drawn}, {steps}: {both.rdp:.2f}, {both.prv or math.inf:.2f}")


def _study(rounds: int, local_steps: int) -> Study:
    return Study.model_validate(
        {
            "name": "accounting",
            "labels": ["pneumonia"],
            "image": {"size": 32, "patch": 16},
            "federation": {"rounds": rounds, "local_steps": local_steps},
            "privacy": {"epsilon": 8, "delta": 1e-5},
        }
    )


def _rounds(study: Study, noise: float, rate: float) -> list[float]:
    """The seconds that each round's line takes: what a reply said of all rounds until then."""
    taken = []
    for number in range(1, study.federation.rounds + 1):
        entry = {
            "outcome": "updated",
            "noise_multiplier": noise,
            "sample_rate": rate,
            "rounds_charged": number,
        }
        started = time.perf_counter()
        spent_until(
            [{"round": number, "sites": {"north": entry}}],
            study,
            last=number == study.federation.rounds,
        )
        taken.append(time.perf_counter() - started)
    return taken


if __name__ == "__main__":
    run_app(app)
