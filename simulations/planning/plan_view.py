"""A plan as a table: what stands in the study, what is proposed for each epsilon, and why."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from irene_model.console import figure
from irene_model.study import Study
from simulations.planning.proposal import Proposal, as_json
from simulations.planning.prospect import Prospect
from simulations.planning.public import Public
from simulations.planning.recipe import Choice
from simulations.planning.settings import text_of, value_at
from simulations.planning.twin import Twin


def show_plan(
    study: Study, public: Public, now: Prospect, proposals: Sequence[Proposal], console: Console
) -> None:
    """All proposals side by side, what they amount to, and what is said against them."""
    sizes = ", ".join(f"{name} {size}" for name, size in public.sites.items())
    console.print(
        f"Study '{study.name}': {public.patients} training patients ({sizes}), "
        f"{now.trained} trained parameters"
    )
    table = Table(title="Proposed settings, from public numbers alone", title_justify="left")
    table.add_column("setting")
    table.add_column("now", justify="right")
    for each in proposals:
        table.add_column(f"epsilon {each.epsilon:g}", justify="right")
    names = dict.fromkeys(choice.name for each in proposals for choice in each.choices)
    for name in names:
        found = [_named(each, name) for each in proposals]
        first = next(choice for choice in found if choice is not None)
        key = next(iter(first.settings))
        cells = [_cell(name, key, each.study, each.prospect) for each in proposals]
        table.add_row(name, _cell(name, key, study, now), *cells)
    table.add_section()
    for title, value in _AMOUNTS:
        table.add_row(title, value(now), *(value(each.prospect) for each in proposals))
    console.print(table)
    for name in names:
        for why, epsilons in _reasons(name, proposals).items():
            where = "" if len(epsilons) == len(proposals) else f" (epsilon {', '.join(epsilons)})"
            console.print(f"{name}{where}: {why}")
    for each in proposals:
        for said in each.advice:
            console.print(f"epsilon {each.epsilon:g}: {said}")
        line = " ".join(f"--set '{key}={text_of(v)}'" for key, v in each.settings.items())
        console.print(f"epsilon {each.epsilon:g}: {line or 'the study is as proposed'}")


def show_twin(found: Twin, console: Console) -> None:
    """What each settings reached on the twin's test patients."""
    table = Table(
        title=f"Simulated twin: {found.patients} made-up patients, {found.share:.0%} of the real",
        title_justify="left",
    )
    for column in ("settings", "macro AUROC", "95% interval", "kept round"):
        table.add_column(column, justify="left" if column == "settings" else "right")
    for name, row in found.reached.items():
        bounds = row["ci95"]
        table.add_row(
            name,
            figure(row["auroc"], unknown="-"),
            "-" if bounds is None else f"{figure(bounds[0])} to {figure(bounds[1])}",
            ", ".join(f"{kept} of {row['rounds']}" for kept in row["kept"]),
        )
    console.print(table)
    if found.stands_in:
        console.print(
            "Made-up diseases stand for the study's labels: only the order means anything"
        )


def plan_json(
    study: Study,
    public: Public,
    now: Prospect,
    proposals: Sequence[Proposal],
    twin: Twin | None,
) -> dict[str, Any]:
    """All of a plan, for programs."""
    return {
        "study": study.name,
        "sites": dict(public.sites),
        "missing": dict(public.missing),
        "now": as_json(now),
        "proposals": [each.as_json() for each in proposals],
        "twin": None if twin is None else asdict(twin),
    }


def _reasons(name: str, proposals: Sequence[Proposal]) -> dict[str, list[str]]:
    """Why, and the epsilons of which it is said."""
    found: dict[str, list[str]] = {}
    for each in proposals:
        if (choice := _named(each, name)) is not None:
            found.setdefault(choice.why, []).append(f"{each.epsilon:g}")
    return found


def _named(proposal: Proposal, name: str) -> Choice | None:
    return next((choice for choice in proposal.choices if choice.name == name), None)


def _cell(name: str, key: str, study: Study, found: Prospect) -> str:
    if name == "noise multiplier":
        return _noise(found)
    if name == "evaluations":
        return str(found.evaluations)
    value: Any = value_at(study.model_dump(mode="json"), key)
    return "-" if value is None else text_of(value)


def _noise(found: Prospect) -> str:
    low, high = min(found.noise.values()), max(found.noise.values())
    return figure(low, 2) if high - low < 0.005 else f"{figure(low, 2)} to {figure(high, 2)}"


def _ratio(found: Prospect) -> str:
    return "no noise" if math.isinf(found.ratio) else figure(found.ratio, 1)


_AMOUNTS: tuple[tuple[str, Callable[[Prospect], str]], ...] = (
    ("noise of a step / clip", lambda found: figure(found.step_noise, 2)),
    ("signal to noise, at most", _ratio),
    ("passes over the patients", lambda found: figure(found.passes, 1)),
)
