"""What all pages share: templates that escape everything, words for numbers, the look."""

from datetime import datetime
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

from irene_model.console import figure, known

_NOTHING = "\N{EN DASH}"
_AGES = 1e9  # seconds: nobody reads that many hours


def look() -> str:
    """The style sheet that all pages have in common, by day and by night; `stacked` with it."""
    return (files("irene_model.pages") / "look.css").read_text(encoding="utf-8") + stacked()


def stacked() -> str:
    """The rules for tables of class `stack`, which are lists on a phone."""
    return (files("irene_model.pages") / "stack.css").read_text(encoding="utf-8")


def pages(package: str) -> Environment:
    """The templates of all wings of `package`, by `wing/name`; an undefined name is an error."""
    environment = Environment(
        loader=PackageLoader(package, ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words = {"moment": moment, "span": span, "size": size, "small": small, "figure": figure}
    environment.filters |= words
    environment.tests |= {"known": lambda value: known(value) is not None}
    return environment


def moment(stamp: str | None) -> str:
    """2026-03-01T09:30:00+00:00 as 2026-03-01 09:30 UTC."""
    if not stamp:
        return "not recorded"
    try:
        when = datetime.fromisoformat(stamp)
    except (TypeError, ValueError):
        return str(stamp)
    return f"{when:%Y-%m-%d %H:%M} {when.tzname() or ''}".rstrip()


def span(seconds: float | None) -> str:
    """A duration: 4.2 s, 17 min, 2 h 5 min."""
    seconds = known(seconds)
    if seconds is None:
        return _NOTHING
    if abs(seconds) >= _AGES:
        return f"{seconds:.3g} s"
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def size(count: float | None) -> str:
    """A number of bytes: 80.3 kB."""
    count = known(count)
    if not count:
        return "0"
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def small(value: float | None) -> str:
    """A delta or a norm: 1e-05, 0.0123."""
    value = known(value)
    return _NOTHING if value is None else f"{value:.3g}"
