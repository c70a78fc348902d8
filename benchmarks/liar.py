"""What one lying site can do to the figures of all, within the bounds that its reply must keep."""

import math
from typing import Annotated

import numpy as np
import typer
from scipy.special import expit

from irene_model.console import new_app, run_app
from irene_model.exchange import LABEL_SENT, EvaluateReply
from irene_model.metrics import COARSE_BINS, Array, coarsen, score_histograms
from irene_model.privacy import evaluation_noise
from irene_model.study import Study
from server.aggregation import Declared
from server.evaluation import SiteHistograms, pool
from server.rounds import check_evaluation

app = new_app(
    "What one lying site can do to the pooled metrics, however many honest ones there are."
)
_TRAINED, _HELD_OUT, _SHARE = 1000, 290, 0.2
_STUDY = Study.model_validate(
    {
        "name": "liar",
        "labels": ["finding"],
        "image": {"size": 32, "patch": 16},
        "federation": {"rounds": 30, "local_steps": 1, "evaluate_every": 10},
        "privacy": {"epsilon": 8.0},
    }
)


@app.command()
def table(
    seed: Annotated[int, typer.Option(help="Of the honest sites' patients and all noise.")] = 0,
) -> None:
    """Print a Markdown table: the pooled AUROC with an honest last site, and with a lying one.

    Example: `python -m benchmarks.liar`
    """
    typer.echo("| sites | all honest | one says all right | one says all wrong |")
    typer.echo("| --- | --- | --- | --- |")
    for sites in (3, 4, 8, 16, 32):
        said = [_pooled(sites, lie, seed) for lie in (None, True, False)]
        typer.echo(f"| {sites} | " + " | ".join(said) + " |")


def _pooled(count: int, lie: bool | None, seed: int) -> str:
    """AUROC and interval; the last of `count` sites lies, unless `lie` is None."""
    rng = np.random.default_rng(seed)
    declared = Declared()
    sites = {}
    for number in range(count):
        name = f"site-{number}"
        declared.note(name, float(_TRAINED), "1")
        exact = _honest(rng) if lie is None or number < count - 1 else _lie(lie)
        sites[name] = _sent(name, exact, declared, rng)
    auroc = pool(sites, _STUDY.labels, rng, prior=_STUDY.model.prior).auroc
    assert auroc.macro is not None
    low, high = auroc.ci95 or (math.nan, math.nan)
    return f"{auroc.macro:.3f} ({low:.3f} to {high:.3f})"


def _honest(rng: np.random.Generator) -> Array:
    """(1, 2, COARSE_BINS) of a score whose AUROC is about 0.75."""
    labels = (rng.random((_HELD_OUT, 1)) < _SHARE).astype(np.int64)
    scores = expit(-2.2 + labels + rng.standard_normal(labels.shape) * 1.05)
    known = np.ones(labels.shape, np.bool_)
    fine = score_histograms(scores, labels, known, np.arange(_HELD_OUT))
    return coarsen(fine, _STUDY.model.prior)


def _lie(right: bool) -> Array:
    """Twice as many patients as it trains on, half of them positive, all right or all wrong."""
    hist = np.zeros((1, 2, COARSE_BINS))
    hist[0, 0, 0 if right else -1] = hist[0, 1, -1 if right else 0] = _TRAINED
    return hist


def _sent(name: str, exact: Array, declared: Declared, rng: np.random.Generator) -> SiteHistograms:
    """What the server takes of it: a reply beyond the bounds would raise a ProtocolError."""
    noise = evaluation_noise(_STUDY, "validation")
    noised = exact + noise * rng.standard_normal(exact.shape)
    reply = EvaluateReply(
        site=name,
        round=10,
        fingerprint=_STUDY.fingerprint,
        outcome="evaluated",
        noise_multiplier=noise,
        deviation=noise,
        arrays={
            "histograms": noised.astype(np.float32),
            "labels": np.array([LABEL_SENT], np.int8),
        },
    )
    read = SiteHistograms.read(name, reply, 1)
    check_evaluation(reply, read, _STUDY, "validation", declared)
    return read


if __name__ == "__main__":
    run_app(app)
