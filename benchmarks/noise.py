"""What unpredictable noise on a lattice costs over numpy's generator and nothing else.

    OMP_NUM_THREADS=1 python -m benchmarks.noise

Noise is added to sums of as many numbers as `base` has parameters, once a step of training. The
ways take turns; the median of the repetitions counts, in the processor's seconds.
"""

import statistics
import time
from collections.abc import Callable
from typing import Annotated

import numpy as np
import torch
import typer

from client.private import KeystreamNoise, add_lattice_noise
from irene_model.console import new_app, run_app

app = new_app("Seconds that it takes to add noise to 99.5 million sums.\n")
_TENSOR = 768 * 3072  # the largest weight of `base`


@app.command()
def measure(
    *,
    numbers: Annotated[int, typer.Option(min=1, help="Sums to add noise to.")] = 99_500_000,
    repetitions: Annotated[int, typer.Option(min=1, help="Turns of each way.")] = 3,
) -> None:
    """Measure the ways side by side.

    Example: `python -m benchmarks.noise --numbers 10000000 --repetitions 9`
    """
    sums = torch.zeros(min(numbers, _TENSOR))
    pcg, keystream = np.random.default_rng(), KeystreamNoise.of_the_operating_system()

    def plain() -> None:
        noise = pcg.standard_normal(tuple(sums.shape), dtype=np.float32)
        sums.add_(torch.from_numpy(noise), alpha=2.0)

    ways: dict[str, Callable[[], None]] = {
        "numpy's PCG64, float32": plain,
        "numpy's PCG64, lattice": lambda: add_lattice_noise(sums, deviation=2.0, source=pcg),
        "AES-256, lattice": lambda: add_lattice_noise(sums, deviation=2.0, source=keystream),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repetitions + 1):
        for name, add in ways.items():
            started = time.process_time()
            for _ in range(-(-numbers // len(sums))):
                add()
            if turn:  # the first one warms up
                taken[name].append(time.process_time() - started)
    for name, seconds in taken.items():
        typer.echo(f"{name:24} {statistics.median(seconds):6.2f} s")


if __name__ == "__main__":
    run_app(app)
