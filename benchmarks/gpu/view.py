"""The figures as one table."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from benchmarks.gpu.bounded import Failure
from benchmarks.gpu.section import Line

_DIGITS = 3


def table(
    lines: Sequence[Line], failures: Mapping[str, Failure], facts: Mapping[str, object], title: str
) -> Table:
    """One line a figure; a section that gave no more says why in its last line."""
    shown = Table(title=title, caption=_caption(facts))
    for heading in ("section", "what", "variant"):
        shown.add_column(heading, overflow="fold")
    shown.add_column("figure", justify="right", no_wrap=True)
    for heading in ("beside", "goal", "note"):
        shown.add_column(heading, overflow="fold")
    for section in dict.fromkeys([*(line.section for line in lines), *failures]):
        named = section
        for line in lines:
            if line.section == section:
                shown.add_row(
                    named,
                    line.what,
                    line.variant,
                    "–" if line.value is None else f"{_figure(line.value)} {line.unit}",
                    "" if line.ratio is None else f"{line.ratio:.2f} × {line.over}",
                    line.goal,
                    line.note,
                )
                named = ""
        if section in failures:
            shown.add_row(named, "no more", "", "–", "", "", failures[section].reason)
        shown.add_section()
    return shown


def _caption(facts: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items() if value is not None)


def _figure(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 10**_DIGITS else f"{value:.{_DIGITS}g}"
