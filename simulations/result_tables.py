"""A run's and a comparison's results as tables for a terminal."""

from collections.abc import Sequence

from rich.table import Table

from irene_model.console import figure, known
from server.runs import Json, epsilon_in
from simulations.compare import OwnModel
from simulations.report import best_first

_MOST_SITES = 40  # that a person would look through


def label_table(name: str, arm: Json, start: Json | None = None) -> Table:
    """AUROC and AUPRC of each label, the start's beside where there is one."""
    table = Table(title=f"{name}, test patients of all sites", title_justify="left")
    told = ("start",) if start is not None else ()
    for column in ("label", "positives", "patients", "AUROC", "95% interval", *told, "AUPRC"):
        table.add_column(column, justify="left" if column == "label" else "right")
    for label, auroc in arm["auroc"]["by_label"].items():
        table.add_row(
            label,
            figure(auroc["positives"], 0),
            figure(auroc["n"], 0),
            figure(auroc["value"], unknown=auroc.get("note", "-")),
            interval(auroc["ci95"]),
            *([number(start["auroc"]["by_label"][label]["value"])] if start else []),
            number(arm["auprc"]["by_label"][label]["value"]),
        )
    table.add_section()
    macro = arm["auroc"]
    table.add_row(
        "macro", "", "", number(macro["macro"]), interval(macro["ci95"]),
        *([number(start["auroc"]["macro"])] if start else []),
        number(arm["auprc"]["macro"]), style="bold",
    )  # fmt: skip
    return table


def site_table(arm: Json, start: Json | None = None) -> Table:
    """Each site's AUROC, where it is known, and what its patients spent; of many, the first."""
    table = Table(title="Sites", title_justify="left")
    told = ("start",) if start is not None else ()
    alone = any("epsilon_alone" in spent for spent in arm["privacy"].values())
    shared = ("if all others collude",) * alone
    for column in ("site", "AUROC", *told, "epsilon", *shared, "delta"):
        table.add_column(column, justify="left" if column == "site" else "right")
    sites = list(dict.fromkeys([*arm["auroc"]["by_site"], *arm["privacy"]]))
    if len(sites) > _MOST_SITES:
        table.caption = f"and {len(sites) - _MOST_SITES} more: results.json and the report have all"
    for site in sites[:_MOST_SITES]:
        auroc, privacy = arm["auroc"]["by_site"].get(site), arm["privacy"].get(site, {})
        spent = epsilon_in(privacy)
        table.add_row(
            site,
            number(auroc),
            *([number(start["auroc"]["by_site"].get(site))] if start else []),
            figure(spent, 2, unknown="no privacy"),
            *(figure(epsilon_in(privacy, "epsilon_alone"), 2, unknown="-") for _ in shared),
            f"{privacy['delta']:g}" if spent is not None and known(privacy["delta"]) else "-",
        )
    return table


def own_table(beside: Sequence[OwnModel]) -> Table:
    """AUROC of all three models on the same patients; the gain is that of fine-tuning at home."""
    table = Table(
        title="Is it worth joining? Exact AUROC on each hospital's test patients of its own model\n"
        "without privacy, the federation's, and the federation's fine-tuned at home",
        title_justify="left",
    )
    for column in ("hospital", "own", "federation's", "fine-tuned", "gain", "95% interval"):
        table.add_column(column, justify="left" if column == "hospital" else "right")
    everywhere = ", ".join(f"{number(each.own_everywhere)} ({each.site})" for each in beside)
    table.caption = f"On the test patients of all hospitals the own models have {everywhere}"
    for each in beside:
        gain, bounds = each.gain_at_home.mean, each.gain_at_home.ci95
        table.add_row(
            each.site,
            number(each.own),
            number(each.federation),
            number(each.fine_tuned),
            "-" if gain is None else f"{gain:+.3f}",
            "-" if bounds is None else _signed(bounds),
        )
    return table


def ranking_table(results: Json) -> Table:
    """A comparison's rows, best first; what all share is said once, to leave room for names."""
    rows = best_first(results)
    counts = {len(arm["seeds"]) for _, arm in rows}
    many = "seeds" if results["over"] == "seeds" else "folds"
    differ = len(counts) > 1
    of = many if differ else f"{max(counts, default=0)} {many}"
    of = "1 seed" if of == "1 seeds" else of
    if many == "folds":
        of += ", 95% interval over test patients"
    arms, models = ({name.split("/")[part] for name, _ in rows} for part in (0, -1))
    one_arm, one_model = (each.pop() if len(each) == 1 else "" for each in (arms, models))
    table = Table(
        title=f"Mean over {of}; difference to {results['reference']}", title_justify="left"
    )
    heading = f"{one_arm or 'arm'}/{one_model or 'model'}"
    table.add_column(heading, overflow="fold")
    for column in ("AUROC", "difference", *["seeds"] * differ):
        table.add_column(column, justify="right")
    for name, arm in rows:
        macro = arm["auroc"]
        around = "" if macro["ci95"] is None else f" ({interval(macro['ci95'])})"
        table.add_row(
            name.removesuffix(f"/{one_model}") if one_model else name.removeprefix(f"{one_arm}/"),
            number(macro["macro"]) + around,
            _gap(arm["difference"] and arm["difference"]["auroc"]),
            *[str(len(arm["seeds"]))] * differ,
        )
    return table


def gain_table(gains: Json, sites: Sequence[str]) -> Table:
    """What each hospital's own test patients gain over the model of its own patients."""
    table = Table(
        title="AUROC at each hospital, less that of its own model alone (95% interval)",
        title_justify="left",
    )
    table.add_column("arm / model", overflow="fold")
    for site in sites:
        table.add_column(site, justify="right")
    for way, by_site in gains.items():
        table.add_row(way, *(_gap(by_site.get(site)) for site in sites))
    return table


def _gap(found: Json | None) -> str:
    if found is None or known(found["mean"]) is None:
        return "-"
    interval = "" if found["ci95"] is None else f" ({_signed(found['ci95'])})"
    return f"{found['mean']:+.3f}{interval}"


def _signed(bounds: Sequence[float]) -> str:
    return f"{bounds[0]:+.3f} to {bounds[1]:+.3f}"


def number(value: float | None) -> str:
    """Three digits, or a dash."""
    return figure(value, unknown="-")


def interval(bounds: Sequence[float] | None) -> str:
    """Both bounds, or a dash."""
    return "-" if bounds is None else f"{number(bounds[0])} to {number(bounds[1])}"
