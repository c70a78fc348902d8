"""What training at home gained on the site's own test patients, with how sure that is."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from client.records import SiteDataset
from client.site import Site
from client.training import score_tests
from irene_model.exchange import Arrays
from irene_model.metrics import Draws, resampled
from irene_model.weights import Judged

_TAILS = 0.025, 0.975


@dataclass(frozen=True, kw_only=True)
class Gain:
    """Two models on the same test patients, by macro AUROC and by label.

    difference: after less before; ci95: the middle 95 % of it over draws of the patients, None
    where fewer than half of the draws have one.
    """

    before: Judged
    after: Judged
    difference: float | None
    ci95: tuple[float, float] | None

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        judged = {"before": self.before.model_dump(), "after": self.after.model_dump()}
        return {**asdict(self), **judged}


def gain_of(before: Arrays, after: Arrays, site: Site, dataset: SiteDataset) -> Gain:
    """Both weights judged exactly on the site's test patients; nothing of it leaves."""
    (was, was_drawn), (now, now_drawn) = (
        _judged(weights, site, dataset) for weights in (before, after)
    )
    difference = None if was.auroc is None or now.auroc is None else now.auroc - was.auroc
    return Gain(before=was, after=now, difference=difference, ci95=_interval(was_drawn, now_drawn))


def _judged(weights: Arrays, site: Site, dataset: SiteDataset) -> tuple[Judged, Draws]:
    histograms, scored = score_tests(weights, site, dataset)
    judged = Judged.of(histograms, dataset.study.labels, patients=len(dataset.patients["test"]))
    return judged, resampled({site.site: scored})["all"]


def _interval(before: Draws, after: Draws) -> tuple[float, float] | None:
    """Paired: a draw's patients are the same for both."""
    moved = [b - a for a, b in zip(before, after, strict=True) if a is not None and b is not None]
    if not moved or 2 * len(moved) < len(before):
        return None
    low, high = np.quantile(moved, _TAILS).tolist()
    return low, high
