"""Pooled metrics of the federation, from the histograms that the sites sent.

The pooled number is the one of all patients together: histograms are added over sites before a
metric is taken, it is no mean of the sites' metrics. Exact and noised ones add up as well; where
one is noised, all are read on the coarse grid. Intervals come from a bootstrap over patients,
stratified by site, and where there is noise they include it (`server.evaluation.resampling`).

Labels are resampled independently: separate histograms cannot tell that one patient is in
several. Where the labels' errors go together, the interval of the macro mean is a little too
narrow: up to a sixth in trials with eight labels whose scores shared much of their noise. The
intervals of single labels are not touched by this.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from irene_model import metrics
from irene_model.exchange import LABEL_SENT
from irene_model.metrics import Array
from server.evaluation.histograms import SiteHistograms
from server.evaluation.resampling import Grid, Measure, Pooled, pool_label

Interval = tuple[float, float]
_OF_ONE_SITE = 200  # replicates for a site's own interval
_MOST_WITH_INTERVALS = 16


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One metric of one label; `positives` and `n` count patients, rounded to whole ones.

    `value` and `ci95` are None where the label can't be judged; `note` then says why.
    """

    value: float | None
    ci95: Interval | None
    positives: int
    n: int
    note: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The label's entry in results.json."""
        entry: dict[str, Any] = {
            "value": self.value,
            "ci95": _as_list(self.ci95),
            "positives": self.positives,
            "n": self.n,
        }
        return entry if self.note is None else {**entry, "note": self.note}


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric of the federation; `macro` is the mean over the labels that have a value."""

    macro: float | None
    ci95: Interval | None
    by_label: Mapping[str, Estimate]
    by_site: Mapping[str, float | None]
    by_site_ci95: Mapping[str, Interval | None] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """`auroc` or `auprc` of results.json."""
        return {
            "macro": self.macro,
            "ci95": _as_list(self.ci95),
            "by_label": {label: est.as_dict() for label, est in self.by_label.items()},
            "by_site": dict(self.by_site),
        }


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All that one evaluation says. `brier`, `ece` and `loss` are means over the labels."""

    auroc: Metric
    auprc: Metric
    brier: float | None
    brier_ci95: Interval | None
    ece: float | None
    ece_ci95: Interval | None
    loss: float | None

    def as_dict(self) -> dict[str, Any]:
        """`auroc`, `auprc` and `calibration` of an arm in results.json."""
        return {
            "auroc": self.auroc.as_dict(),
            "auprc": self.auprc.as_dict(),
            "calibration": {
                "brier": self.brier,
                "brier_ci95": _as_list(self.brier_ci95),
                "ece": self.ece,
                "ece_ci95": _as_list(self.ece_ci95),
            },
        }

    @property
    def summary(self) -> dict[str, Any]:
        """`evaluation` of a line in rounds.jsonl; sites have intervals where they are noised."""
        intervals = {site: _as_list(each) for site, each in self.auroc.by_site_ci95.items()}
        told = {"by_site_ci95": intervals} if intervals else {}
        return {
            "loss": self.loss,
            "auroc": self.auroc.macro,
            "auroc_ci95": _as_list(self.auroc.ci95),
            "auprc": self.auprc.macro,
            "by_site": dict(self.auroc.by_site),
            **told,
        }


def pool(
    sites: Mapping[str, SiteHistograms],
    labels: Sequence[str],
    rng: np.random.Generator,
    *,
    prior: float,
    replicates: int = 1000,
) -> Evaluation:
    """Evaluate the federation from what each site sent; `prior` is that of the study's model.

    Sites are taken in the order of their names, so that who answered first changes nothing.
    Without any site nothing has a value.
    """
    sites = {site: sites[site] for site in sorted(sites)}
    noised = any(site.deviation for site in sites.values())
    grid = Grid(prior=prior if noised else None)
    by_site = {
        name: site.coarse(prior) if noised else site.histograms for name, site in sites.items()
    }

    def pooled(chosen: Mapping[str, SiteHistograms], k: int, replicates: int) -> Pooled:
        sent = {name: site for name, site in chosen.items() if site.labels[k] == LABEL_SENT}
        return pool_label(
            [by_site[name][k] for name, site in sent.items() if not site.deviation],
            [by_site[name][k] for name, site in sent.items() if site.deviation],
            [site.deviation for site in sent.values() if site.deviation],
            grid=grid,
            rng=rng,
            replicates=replicates,
        )

    everywhere = [pooled(sites, k, replicates) for k in range(len(labels))]
    alone = {
        name: [
            pooled({name: site}, k, _replicates_of(site, len(sites))) for k in range(len(labels))
        ]
        for name, site in sites.items()
    }
    return _evaluated(everywhere, alone, labels)


def _replicates_of(site: SiteHistograms, sites: int) -> int:
    """As many as an interval needs, for a noised site among so few that each has a curve."""
    return _OF_ONE_SITE if site.deviation and sites <= _MOST_WITH_INTERVALS else 0


def pool_sum(
    histograms: Array,
    deviation: float,
    labels: Sequence[str],
    rng: np.random.Generator,
    *,
    prior: float,
    replicates: int = 1000,
) -> Evaluation:
    """Evaluate the federation from the sum of all sites' coarse histograms (K, 2, COARSE_BINS).

    deviation: of the noise in each cell; 0 for none. No site has a metric of its own.
    """
    everywhere = [
        pool_label(
            [] if deviation else [hist],
            [hist] if deviation else [],
            [deviation] if deviation else [],
            grid=Grid(prior=prior),
            rng=rng,
            replicates=replicates,
        )
        for hist in histograms
    ]
    return _evaluated(everywhere, {}, labels)


def _evaluated(
    everywhere: Sequence[Pooled], alone: Mapping[str, Sequence[Pooled]], labels: Sequence[str]
) -> Evaluation:
    """All metrics of each label's histograms of all sites, and AUROC and AUPRC of each alone."""

    def metric(of: Measure) -> Metric:
        measured = [each.measure(of) for each in everywhere]
        estimates = [_estimate(p, *m) for p, m in zip(everywhere, measured, strict=True)]
        return Metric(
            macro=_mean([e.value for e in estimates]),
            ci95=_interval_of_mean(
                [m[1] for e, m in zip(estimates, measured, strict=True) if e.value is not None]
            ),
            by_label=dict(zip(labels, estimates, strict=True)),
            by_site={
                name: _mean([None if p.drowned else p.measure(of)[0] for p in each])
                for name, each in alone.items()
            },
            by_site_ci95={
                name: _interval_of_mean([p.measure(of)[1] for p in each if not p.drowned])
                for name, each in alone.items()
                if any(len(p.replicates) for p in each)
            },
        )

    judged = [each for each in everywhere if not each.drowned]
    brier = [each.measure(metrics.briers) for each in judged]
    ece = [each.measure_debiased(metrics.eces) for each in judged]
    return Evaluation(
        auroc=metric(lambda hists, _: metrics.aurocs(hists)),
        auprc=metric(lambda hists, _: metrics.auprcs(hists)),
        brier=_mean([value for value, _ in brier]),
        brier_ci95=_interval_of_mean([draws for _, draws in brier]),
        ece=_mean([value for value, _ in ece]),
        ece_ci95=_interval_of_mean([draws for _, draws in ece]),
        loss=_mean([each.measure(metrics.log_losses)[0] for each in judged], most=np.inf),
    )


def _estimate(pooled: Pooled, value: float, draws: Array) -> Estimate:
    negatives, positives = np.maximum(pooled.totals, 0.0)
    note = None
    if pooled.drowned:
        note = "too few patients for the noise"
    elif np.isnan(value):
        note = "no negatives" if positives > 0 else "no positives"
    return Estimate(
        value=None if note else float(value),
        ci95=None if note else _interval(draws),
        positives=round(positives),
        n=round(negatives + positives),
        note=note,
    )


def _interval(draws: Array) -> Interval | None:
    """The middle 95 % of the defined draws, within 0..1."""
    defined = draws[~np.isnan(draws)]
    if not defined.size:
        return None
    low, high = np.clip(np.percentile(defined, [2.5, 97.5]), 0.0, 1.0)
    return float(low), float(high)


def _interval_of_mean(draws: Sequence[Array]) -> Interval | None:
    """Of the mean over labels, from each one's (R,); undefined replicates are left out."""
    if not draws:
        return None
    stack = np.stack(draws)
    defined = ~np.isnan(stack)
    count = defined.sum(axis=0)
    total = np.where(defined, stack, 0.0).sum(axis=0)
    means = np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
    return _interval(means)


def _mean(values: Sequence[float | None], *, most: float = 1.0) -> float | None:
    """The mean of the defined values, within 0..`most`: a debiased one may lie outside."""
    defined = [value for value in values if value is not None and not np.isnan(value)]
    return float(np.clip(np.mean(defined), 0.0, most)) if defined else None


def _as_list(interval: Interval | None) -> list[float] | None:
    return None if interval is None else list(interval)
