"""What noise on the score histograms costs, on the test patients of a simulated run.

    python -m benchmarks.evaluation runs/first

The run's last weights are scored once at each of its sites; then the noise of several epsilons is
drawn anew and again, and pooled as the server does. Nothing here is charged to a ledger.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from client.records import open_dataset
from client.site import Site
from client.training import Evaluated, add_noise, score
from irene_model.exchange import LABEL_SENT
from irene_model.metrics import Array, coarsen
from irene_model.privacy import noise_multiplier_for
from irene_model.study import HeldOut, Study
from server.evaluation import SiteHistograms, pool
from server.runs import RunFolder

Sites = dict[str, tuple[Evaluated, Array]]


def score_sites(run: Path, split: HeldOut) -> tuple[Study, Sites]:
    """The study, and each site's exact histograms of the run's last weights."""
    folder = RunFolder.resume(run)
    weights = folder.load_checkpoint(folder.last_round)
    sites: Sites = {}
    for path in folder.info["site_files"]:
        site = Site.read(run / path)
        what = Evaluated(
            dataset=open_dataset(site, folder.study),
            split=split,
            mapped=tuple(site.labels),
            device=torch.device("cpu"),
        )
        sites[site.site] = what, score(weights, what).histograms()
    return folder.study, sites


def measure(
    study: Study, sites: Sites, noise_multiplier: float, *, rng: np.random.Generator
) -> tuple[float, float]:
    """Macro AUROC and the width of its interval; NaN where no label can be judged."""
    sent: dict[str, SiteHistograms] = {}
    for name, (what, exact) in sites.items():
        deviation = noise_multiplier * what.sensitivity
        if deviation:
            exact = add_noise(
                coarsen(exact, study.model.prior),
                deviation=deviation,
                sent=what.labels == LABEL_SENT,
                rng=rng,
            )
        sent[name] = SiteHistograms(histograms=exact, labels=what.labels, deviation=deviation)
    auroc = pool(sent, study.labels, rng, prior=study.model.prior).auroc
    if auroc.macro is None or auroc.ci95 is None:
        return np.nan, np.nan
    return auroc.macro, auroc.ci95[1] - auroc.ci95[0]


def main(
    run: Annotated[Path, typer.Argument(help="The folder of a finished simulated run.")],
    *,
    validation: Annotated[bool, typer.Option(help="Validation patients, not test.")] = False,
    evaluations: Annotated[int, typer.Option(min=1, help="How many share the epsilon.")] = 1,
    drawings: Annotated[int, typer.Option(min=1, help="Of the noise, for each epsilon.")] = 8,
) -> None:
    """Print macro AUROC and the width of its interval, exact and for several epsilons."""
    study, sites = score_sites(run, "validation" if validation else "test")
    value, width = measure(study, sites, 0.0, rng=np.random.default_rng(0))
    typer.echo(f"exact      macro AUROC {value:.3f}, interval {width:.3f} wide")
    for epsilon in (8, 4, 2, 1):
        noise = noise_multiplier_for(
            epsilon, delta=study.privacy.delta, sample_rate=1.0, steps=evaluations
        )
        drawn = np.array(
            [
                measure(study, sites, noise, rng=np.random.default_rng([epsilon, n]))
                for n in range(drawings)
            ]
        )
        drawn = drawn[~np.isnan(drawn).any(axis=1)]
        if not len(drawn):
            typer.echo(f"epsilon {epsilon}  no label can be judged")
            continue
        typer.echo(
            f"epsilon {epsilon}  macro AUROC {drawn[:, 0].mean():.3f} +- {drawn[:, 0].std():.3f}, "
            f"interval {drawn[:, 1].mean():.3f} wide; noise multiplier {noise:.2f}"
        )


if __name__ == "__main__":
    typer.run(main)
