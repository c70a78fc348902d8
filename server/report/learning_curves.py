"""A run's curves over the rounds, from the lines of rounds.jsonl. Pure."""

from collections.abc import Mapping, Sequence

from server.report.plots import Chart, Point, Series, line_chart
from server.report.site_curves import site_curves
from server.report.thinning import thinned
from server.runs import JsonMapping, epsilon_in

_AT_SITES = "AUROC at each site, with its 95 % interval where it is noised"


def curves(
    sites: Sequence[str],
    rounds: Sequence[JsonMapping],
    *,
    at_the_end: Mapping[str, float | None] | None = None,
) -> list[tuple[str, Chart]]:
    """Titles and learning curves; a curve without a single value is left out.

    Of single sites only those that move more than their noise (see `site_curves`).

    at_the_end: each site's epsilon of the whole run, where that is known: it counts the evaluation
    after the last round too.
    """
    evaluated = thinned(
        [(line["round"], line["evaluation"]) for line in rounds if line.get("evaluation")]
    )
    rounds = thinned(rounds)

    def pooled(key: str, interval: str | None = None) -> Series:
        points = []
        for number, evaluation in evaluated:
            if evaluation.get(key) is not None:
                low, high = (interval and evaluation.get(interval)) or (None, None)
                points.append(Point(x=number, y=evaluation[key], low=low, high=high))
        return Series(name="all sites", points=points)

    def epsilon_at(site: str) -> Series:
        values = {line["round"]: epsilon_in(line["sites"].get(site, {})) for line in rounds}
        settled = (at_the_end or {}).get(site)
        if rounds and settled is not None:
            values[rounds[-1]["round"]] = settled
        points = [Point(x=n, y=v) for n, v in values.items() if v is not None]
        return Series(name=site, points=points)

    charts = {
        "AUROC of all sites together, with its 95 % interval": line_chart(
            [pooled("auroc", "auroc_ci95")], x_label="round", y_label="AUROC"
        ),
        _AT_SITES: line_chart(site_curves(sites, evaluated)[0], x_label="round", y_label="AUROC"),
        "Loss (binary cross-entropy)": line_chart(
            [pooled("loss")], x_label="round", y_label="loss"
        ),
        "Privacy spent by each site in this run": line_chart(
            _alike([epsilon_at(site) for site in sites]),
            x_label="round",
            y_label="epsilon",
            from_zero=True,
        ),
    }
    return [(title, chart) for title, chart in charts.items() if chart is not None]


def _alike(series: Sequence[Series]) -> list[Series]:
    """One curve where several would hide each other, as under secure sums."""
    if len(series) > 1 and all(each.points == series[0].points for each in series):
        return [Series(name="each of all sites", points=series[0].points)]
    return list(series)


def hidden_in_noise(sites: Sequence[str], rounds: Sequence[JsonMapping]) -> list[str]:
    """The sites whose AUROC over the rounds is not drawn, since its noise hides how it moves."""
    return site_curves(
        sites, [(line["round"], line["evaluation"]) for line in rounds if line.get("evaluation")]
    )[1]
