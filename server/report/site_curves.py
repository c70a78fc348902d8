"""AUROC of single hospitals over the rounds, as far as their noise lets it be seen. Pure.

A hospital's noised counts move its AUROC from round to round by hundredths, whatever the model
learned: seven rounds of noise look like a story. Its curve is drawn with its interval, and left out
where the interval is on average wider than all that the curve moves, or is not known.
"""

from collections.abc import Sequence

from irene_model.console import known
from server.report.plots import Point, Series
from server.runs import JsonMapping

Evaluated = Sequence[tuple[int, JsonMapping]]


def site_curves(sites: Sequence[str], evaluated: Evaluated) -> tuple[list[Series], list[str]]:
    """The curves to draw, and the names of the hospitals whose curves are left out.

    evaluated: rounds and their lines' `evaluation`. Exact counts have no noise, and no interval.
    """
    curves = [Series(name=site, points=_points(site, evaluated)) for site in sites]
    hidden = [curve.name for curve in curves if _says_nothing(curve, evaluated)]
    return [curve for curve in curves if curve.name not in hidden], hidden


def _points(site: str, evaluated: Evaluated) -> list[Point]:
    points = []
    for number, evaluation in evaluated:
        value = known(evaluation.get("by_site", {}).get(site))
        low, high = (evaluation.get("by_site_ci95") or {}).get(site) or (None, None)
        if value is not None:
            points.append(Point(x=number, y=value, low=known(low), high=known(high)))
    return points


def _says_nothing(curve: Series, evaluated: Evaluated) -> bool:
    noised = any(
        known(((evaluation.get("sites") or {}).get(curve.name) or {}).get("noise_multiplier"))
        for _, evaluation in evaluated
    )
    widths = [p.high - p.low for p in curve.points if p.low is not None and p.high is not None]
    if not widths:
        return noised and bool(curve.points)
    values = [point.y for point in curve.points]
    return sum(widths) / len(widths) > max(values) - min(values)
