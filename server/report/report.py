"""report.html: what a run reached, what it cost in privacy and what left each hospital.

One self-contained file for coordinators and clinicians, made of nothing but the run folder. The
template escapes everything; names of hospitals and labels are text, whatever they hold.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from irene_model.console import known
from irene_model.errors import CheckpointError
from irene_model.pages import stacked
from irene_model.study import Study
from server.report.hope import hope_of
from server.report.learning_curves import curves, hidden_in_noise
from server.report.page_templates import pages
from server.report.plots import STYLES, ticks
from server.report.thinning import MOST_ROWS
from server.runs import JsonMapping, clean, epsilon_in, loads, read_json

_NO_METRIC: JsonMapping = {"macro": None, "ci95": None, "by_label": {}, "by_site": {}}
_NO_ESTIMATE: JsonMapping = {
    "value": None,
    "ci95": None,
    "positives": 0,
    "n": 0,
    "note": "not evaluated",
}


@dataclass(frozen=True, kw_only=True)
class SiteRow:
    """One hospital's part of the run. `epsilon` None: trained without privacy.

    `epsilon` is the smaller one of the bounds `rdp` and `prv`, each None if unknown; `alone` is it
    if all other sites of secure sums collude. `has_privacy` is false for a hospital that the
    results give no privacy of. `ledger_total` is the ledger's own epsilon, over all runs.
    `outcomes` counts rounds; `bytes_up` covers all its updates. `metrics` says how its scores of
    test patients came, or why not.
    """

    name: str
    auroc: float | None
    has_privacy: bool
    epsilon: float | None
    rdp: float | None
    prv: float | None
    alone: float | None
    ledger_total: float | None
    delta: float | None
    unit: str
    outcomes: Mapping[str, int]
    bytes_up: int
    metrics: str


@dataclass(frozen=True, kw_only=True)
class LabelRow:
    """One label: its two estimates as in results.json, and its share of positives."""

    name: str
    auroc: JsonMapping
    auprc: JsonMapping
    prevalence: float | None


def write_report(run_folder: Path) -> Path:
    """Write `report.html` into `run_folder` and return its path.

    Reads study.yaml, run.json, results.json and rounds.jsonl there; only the last may be absent
    (an arm without rounds). CheckpointError where one is missing or not JSON, ConfigError for
    study.yaml.
    """
    study = Study.read(run_folder / "study.yaml")
    page = render(
        study,
        _read_json(run_folder / "run.json"),
        _read_json(run_folder / "results.json"),
        _read_lines(run_folder / "rounds.jsonl"),
    )
    report = run_folder / "report.html"
    unfinished = run_folder / "report.html.tmp"
    unfinished.write_text(page, encoding="utf-8")
    unfinished.replace(report)
    return report


def render(
    study: Study, run: JsonMapping, results: JsonMapping, rounds: Sequence[JsonMapping]
) -> str:
    """The report's HTML. The arm that run.json names is told in full; others are compared."""
    arms: JsonMapping = results["arms"]
    if not arms:
        raise CheckpointError("results.json holds no arm: there is nothing to report")
    arm_name = run["arm"] if run.get("arm") in arms else next(iter(arms))
    arm = arms[arm_name]
    auroc, auprc = arm.get("auroc") or _NO_METRIC, arm.get("auprc") or _NO_METRIC
    sites = _site_rows(
        results["sites"],
        auroc,
        arm.get("privacy") or {},
        rounds,
        (arm.get("evaluation") or {}).get("sites", {}),
    )
    labels = [_label_row(label, auroc, auprc) for label in results["labels"]]
    guarded = [site for site in sites if site.epsilon is not None]
    page = (
        pages()
        .get_template("report/report.html.j2")
        .render(
            stacked=stacked(),
            study=study,
            run=run,
            arms=arms,
            arm_name=arm_name,
            arm=arm,
            auroc=auroc,
            auprc=auprc,
            calibration=arm.get("calibration") or {"brier": None, "ece": None},
            labels=labels,
            sites=sites,
            start=arms.get("start-only") if arm_name != "start-only" else None,
            origin=(run.get("start") or {}).get("irene"),
            rounds=rounds,
            most_rows=MOST_ROWS,
            guarded=guarded,
            largest_epsilon=max((s.epsilon or 0.0 for s in guarded), default=None),
            largest_delta=max((s.delta or 0.0 for s in guarded), default=None),
            auroc_ticks=_auroc_ticks(labels, sites),
            charts=curves(
                [site.name for site in sites],
                rounds,
                at_the_end={site.name: site.epsilon for site in sites},
            ),
            chart_sites=STYLES,
            hidden_in_noise=hidden_in_noise([site.name for site in sites], rounds),
            hope=hope_of(study, rounds),
            beside=results.get("own_models") or {},
        )
    )
    return page.strip() + "\n"


def _site_rows(
    names: Sequence[str],
    auroc: JsonMapping,
    privacy: JsonMapping,
    rounds: Sequence[JsonMapping],
    test: JsonMapping,
) -> list[SiteRow]:
    seen = [*names, *auroc["by_site"], *privacy, *(s for line in rounds for s in line["sites"])]

    def row(site: str) -> SiteRow:
        parts = [line["sites"][site] for line in rounds if site in line["sites"]]
        evaluated = [((line.get("evaluation") or {}).get("sites") or {}) for line in rounds]
        told = [*parts, *(sites[site] for sites in (*evaluated, test) if site in sites)]
        totals = [known(part.get("epsilon_total")) for part in told]
        spent = privacy.get(site, {})
        return SiteRow(
            name=site,
            auroc=auroc["by_site"].get(site),
            has_privacy=site in privacy,
            epsilon=epsilon_in(spent),
            rdp=spent.get("rdp"),
            prv=spent.get("prv"),
            alone=epsilon_in(spent, "epsilon_alone"),
            ledger_total=max((each for each in totals if each is not None), default=None),
            delta=spent.get("delta"),
            unit=spent.get("unit", "patient"),
            outcomes=Counter(part["outcome"] for part in parts),
            bytes_up=sum(part.get("bytes_up") or 0 for part in parts),
            metrics=_how_metrics_came(test.get(site)),
        )

    return [row(site) for site in dict.fromkeys(seen)]


def _how_metrics_came(entry: JsonMapping | None) -> str:
    if entry is None:
        return "not recorded"
    if entry["outcome"] != "evaluated":
        return f"{entry['outcome']}: {entry['reason']}"
    noise = entry["noise_multiplier"]
    way = f"noised, multiplier {noise:.3g}" if noise else "exact counts"
    withheld = ", ".join(entry.get("withheld", ()))
    return f"{way}; too few patients, withheld: {withheld}" if withheld else way


def _label_row(label: str, auroc: JsonMapping, auprc: JsonMapping) -> LabelRow:
    estimate = auroc["by_label"].get(label, _NO_ESTIMATE)
    patients = known(estimate["n"])
    return LabelRow(
        name=label,
        auroc=estimate,
        auprc=auprc["by_label"].get(label, _NO_ESTIMATE),
        prevalence=(known(estimate["positives"]) or 0.0) / patients if patients else None,
    )


def _auroc_ticks(labels: Sequence[LabelRow], sites: Sequence[SiteRow]) -> list[float]:
    """The common axis of all AUROC bars: from a coin's 0.5, or below if something is, to 1."""
    told = [bound for row in labels for bound in row.auroc["ci95"] or ()]
    told += [row.auroc["value"] for row in labels] + [site.auroc for site in sites]
    values = [value for value in map(known, told) if value is not None]
    return ticks(max(0.0, min([0.5, *values])), 1.0)


def _read_json(path: Path) -> JsonMapping:
    try:
        return read_json(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; a report needs a finished run") from None
    except ValueError:
        raise CheckpointError(f"{path}: is no valid JSON object") from None


def _read_lines(path: Path) -> list[JsonMapping]:
    if not path.exists():
        return []
    lines: list[JsonMapping] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            lines.append(clean(loads(line)))
        except (ValueError, AttributeError):
            raise CheckpointError(f"{path}, line {number}: is not valid JSON") from None
    return lines
