"""A forecast as a picture: epsilon against rounds by both accountants, up to the budget."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from client.budget.forecasts import Forecast
from irene_model.console import known
from irene_model.errors import ConfigError

_INK, _MUTED = "#22272e", "#6b7480"
_PRV, _RDP, _TARGET = "#0b6e99", "#b0632a", "#b3261e"  # told apart by people who lack a cone
_HEADROOM = 4.0  # targets: what rises far above is cut off, or nothing else could be seen
_LARGEST = 1e100  # that the axes can reckon with


def draw(forecast: Forecast, path: Path) -> None:
    """Write the picture to `path`, a .png, .svg or .pdf; ConfigError where it can't be written."""
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    axes = figure.subplots()
    _curves(axes, forecast)
    _target(axes, forecast)
    _spent(axes, forecast)
    _crossing(axes, forecast)
    _title(axes, forecast)
    _dress(axes)
    try:
        figure.savefig(path, dpi=160, metadata={"Date": None} if path.suffix == ".svg" else None)
    except OSError as error:
        raise ConfigError(f"{path}: can't be written ({type(error).__name__})") from None


def _title(axes: Axes, forecast: Forecast) -> None:
    mechanism = forecast.fitting.mechanism
    axes.set_title(
        f"What rounds of {forecast.study} cost site {forecast.site}",
        loc="left", pad=24, fontsize=13, color=_INK, parse_math=False,
    )  # fmt: skip
    axes.annotate(
        f"noise multiplier {mechanism.noise_multiplier:.4g}, rate {mechanism.sample_rate:.3g}, "
        f"steps a round: {mechanism.steps}, delta {forecast.delta:g}, per patient",
        (0, 1), xytext=(0, 9), xycoords="axes fraction", textcoords="offset points",
        fontsize=9.5, color=_MUTED,
    )  # fmt: skip


def _curves(axes: Axes, forecast: Forecast) -> None:
    top = _within(forecast.target)
    most = _HEADROOM * top
    for name, colour, style, told in (
        ("by RDP", _RDP, "--", [(c.rounds, known(c.epsilon.rdp)) for c in forecast.curve]),
        ("by PRV", _PRV, "-", [(c.rounds, known(c.epsilon.prv)) for c in forecast.curve]),
    ):
        values = [(rounds, spent) for rounds, spent in told if spent is not None and spent <= most]
        if not values:
            continue
        rounds, spent = zip(*values, strict=True)
        top = max(top, spent[-1])
        axes.plot(rounds, spent, style, color=colour, linewidth=2, zorder=3)
        axes.annotate(
            name, (rounds[-1], spent[-1]), xytext=(5, 0), textcoords="offset points",
            color=colour, va="center", fontsize=10.5, annotation_clip=False,
        )  # fmt: skip
    axes.set_xlim(0, forecast.curve[-1].rounds)
    axes.set_ylim(0, 1.08 * top)


def _target(axes: Axes, forecast: Forecast) -> None:
    target = _within(forecast.target)
    axes.axhline(target, color=_TARGET, linewidth=1.4, zorder=2)
    name = "budget" if forecast.target == forecast.budget else "target"
    axes.annotate(
        f"{name} {forecast.target:g}", (1, target), xytext=(5, 0),
        xycoords=("axes fraction", "data"), textcoords="offset points",
        color=_TARGET, va="center", fontsize=10.5, annotation_clip=False,
    )  # fmt: skip


def _spent(axes: Axes, forecast: Forecast) -> None:
    spent = forecast.spent.smallest
    if not 0 < spent <= axes.get_ylim()[1]:
        return
    axes.axhspan(0, spent, color=_MUTED, alpha=0.12, linewidth=0, zorder=0)
    high = spent > 0.1 * axes.get_ylim()[1]
    axes.annotate(
        f"spent already: {spent:.2f}", (0.015 if high else 0.3, spent),
        xytext=(0, -6 if high else 4), xycoords=("axes fraction", "data"),
        textcoords="offset points", color=_MUTED, fontsize=10.5, va="top" if high else "bottom",
    )  # fmt: skip
    axes.plot(0, spent, "o", color=_INK, markersize=6, clip_on=False, zorder=5)


def _crossing(axes: Axes, forecast: Forecast) -> None:
    """Where the smaller bound still keeps the target."""
    rounds, spent = forecast.fitting.rounds, forecast.fitting.epsilon.smallest
    if not rounds or not spent <= axes.get_ylim()[1]:
        axes.text(0.03, 0.94, "not one round fits", transform=axes.transAxes, color=_TARGET)
        return
    axes.plot([rounds, rounds], [0, spent], ":", color=_INK, linewidth=1.1, zorder=1)
    axes.plot(rounds, spent, "o", color=_INK, markersize=7, clip_on=False, zorder=5)
    fit = "1 round fits" if rounds == 1 else f"{rounds} rounds fit"
    axes.annotate(
        f"{fit}\nepsilon {spent:.2f}", (rounds, spent), xytext=(8, -14),
        textcoords="offset points", color=_INK, fontsize=10.5, va="top",
    )  # fmt: skip


def _within(value: float) -> float:
    """`value`, where the axes can reckon with it."""
    return min(_LARGEST, max(1 / _LARGEST, value))


def _dress(axes: Axes) -> None:
    axes.set_xlabel("further rounds", color=_INK)
    axes.set_ylabel("epsilon of the whole ledger", color=_INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=_MUTED, alpha=0.18, linewidth=0.8)
    axes.tick_params(colors=_MUTED)
