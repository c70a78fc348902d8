"""The live page: one run told while it goes on. Values in, HTML out.

Whole times are written, never "3 minutes ago": the same state gives the same bytes, and the browser
only changes what it shows when there is news.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from irene_model.console import known
from server.report import STYLES, curves, pages
from server.runs import JsonMapping
from server.watch.run_progress import RunProgress
from server.watch.site_progress import SiteProgress

_CELLS = 60  # rounds of a site that are shown side by side
_ROWS = 200  # rounds in the table
_WORDS = {
    "running": "running",
    "waiting": "waiting for sites",
    "silent": "no news",
    "cancelled": "cancelled",
    "finished": "finished",
    "stopped": "stopped",
    "unreadable": "can't be read",
}


@dataclass(frozen=True, kw_only=True)
class SiteRow:
    """A site's row. cells: (round, outcome) of the newest rounds. spent, asked: where the bar of
    its epsilon ends and where the asked one lies on it, 0 to 1; None where either is unknown."""

    site: SiteProgress
    cells: Sequence[tuple[int, str | None]]
    spent: float | None
    asked: float | None


def render_page(run: RunProgress | None, runs: Sequence[RunProgress], log: str) -> str:
    """The whole page. run: the one that is shown; None where there is none yet."""
    return _render("watch/live.html.j2", run, runs, log)


def render_live(run: RunProgress | None, log: str) -> str:
    """The part of the page that changes."""
    return _render("watch/live_part.html.j2", run, (), log)


def _render(template: str, run: RunProgress | None, runs: Sequence[RunProgress], log: str) -> str:
    lines = run.lines if run else ()
    names = [site.name for site in run.sites] if run else []
    spents = [known(site.epsilon) for site in run.sites] if run else []
    shown: dict[str, Any] = {
        "run": run,
        "runs": runs,
        "log": log,
        "words": _WORDS,
        "rows": [_row(site, run) for site in run.sites] if run else [],
        "first_cell": max(0, len(lines) - _CELLS),
        "lines": list(reversed(lines[-_ROWS:])),
        "hidden_lines": max(0, len(lines) - _ROWS),
        "auroc": _newest(lines, "auroc"),
        "charts": curves(
            names,
            lines,
            at_the_end={site.name: site.epsilon for site in run.sites if site.settled},
        )
        if run
        else [],
        "chart_sites": STYLES,
        "largest": max((spent for spent in spents if spent is not None), default=None),
    }
    return pages().get_template(template).render(**shown).strip() + "\n"


def _row(site: SiteProgress, run: RunProgress) -> SiteRow:
    rounds = [line["round"] for line in run.lines]
    cells = list(zip(rounds, site.outcomes, strict=True))[-_CELLS:]
    asked, spent = run.asked_epsilon, known(site.epsilon)
    if asked is None or spent is None:
        return SiteRow(site=site, cells=cells, spent=None, asked=None)
    spent = max(0.0, spent)
    # All sites' bars have one scale; a site whose silence was counted may be beyond what was asked.
    whole = max(asked, *(known(other.epsilon) or 0.0 for other in run.sites))
    return SiteRow(site=site, cells=cells, spent=spent / whole, asked=asked / whole)


def _newest(lines: Sequence[JsonMapping], key: str) -> JsonMapping | None:
    """The newest evaluation with a value, and its round."""
    for line in reversed(lines):
        evaluation = line.get("evaluation") or {}
        if evaluation.get(key) is not None:
            return {"round": line["round"], **evaluation}
    return None
