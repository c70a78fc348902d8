"""The report of a check, at a terminal."""

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from client.check import SOUND_KINDS, QualityReport
from client.pages.coverage_view import coverage_tables


def show_check(report: QualityReport, console: Console) -> None:
    """The report, its verdict last."""
    console.print(
        f"Site [bold]{report.site}[/bold] for the study [bold]{report.study}[/bold]: "
        f"{report.records} records of {report.patients} patients, at most "
        f"{report.most_records_of_a_patient} records a patient",
        highlight=False,
        soft_wrap=True,
    )
    splits = _table("Splits", "split", "patients", "records")
    for each, split in report.splits.items():
        splits.add_row(each, str(split.patients), str(split.records))
    modalities = _table("Modalities", "modality", "records")
    for name, count in report.modalities.items():
        modalities.add_row(name, str(count) if count else "absent")
    labs = _table(
        "Laboratory (below, above: the detection limits)",
        "value",
        "unit",
        "measured",
        "missing",
        "below",
        "above",
        "abnormal",
    )
    for name, lab in report.labs.items():
        counts = (lab.measured, lab.missing, lab.censored_low, lab.censored_high)
        share = "" if lab.outside_reference is None else f"{lab.outside_reference:.0%}"
        cells = [*map(str, counts), share] if lab.mapped else ["not mapped", "", "", "", ""]
        labs.add_row(name, escape(lab.unit), *cells)
    panels = _table("Further panels", "panel", "values", "records", "filled", "abnormal")
    for name, panel in report.panels.items():
        shares = (panel.filled, panel.outside_reference)
        cells = [f"{panel.values} of {panel.of}", str(panel.records)]
        cells += ["" if share is None else f"{share:.0%}" for share in shares]
        panels.add_row(name, *(cells if panel.values else ["not mapped", "", "", ""]))
    sounds = _table("Recordings", "position", "recordings", "missing", *SOUND_KINDS)
    for position, heard in report.sounds.items():
        told = (heard.recordings, heard.missing, *heard.kinds.values())
        sounds.add_row(position, *map(str, told))
    labels = _table("Labels", "label", "positive", "negative", "not annotated")
    for name, label in report.labels.items():
        values = (label.positives, label.negatives, label.not_annotated)
        labels.add_row(name, *(map(str, values) if label.mapped else ("not mapped", "", "")))
    console.print(
        splits,
        modalities,
        labs,
        *([panels] if report.panels else []),
        *([sounds] if report.sounds else []),
        labels,
    )
    console.print(*coverage_tables(report.coverage), highlight=False)
    _show_inputs(report, console)
    _show_doubts(report, console)


def _show_inputs(report: QualityReport, console: Console) -> None:
    texts, cost = report.texts, report.cost
    if report.modalities["age"]:
        steps = (f"{count} of {step}" for step, count in report.ages.items() if count)
        console.print(f"Ages in years: {', '.join(steps)}", highlight=False, soft_wrap=True)
    for note in report.notes:
        console.print(f"[dim]note:[/dim] {escape(note)}", highlight=False, soft_wrap=True)
    if texts.texts:
        console.print(
            f"Texts: {texts.known:.0%} of {texts.words} words are kept whole, {texts.unknown:.0%} "
            "are unknown to the study's encoder or split into letters; half have at most "
            f"{texts.median} tokens, 95 % at most {texts.long}; {texts.cut} of {texts.texts} are "
            f"cut at {texts.read} tokens",
            highlight=False,
            soft_wrap=True,
        )
    if cost is not None and cost.budget is not None:
        console.print(
            f"Budget: {cost.rounds_left} of {cost.rounds} rounds fit into epsilon {cost.budget:g}, "
            f"with noise multiplier {cost.noise_multiplier:.3g} and {cost.declared_patients} "
            "declared patients",
            highlight=False,
            soft_wrap=True,
        )


def _show_doubts(report: QualityReport, console: Console) -> None:
    for reason, count in report.left_out.items():
        console.print(f"left out: {count} records: {escape(reason)}", soft_wrap=True)
    for doubt in report.doubts:
        word = "[red]not ready:[/red]" if doubt.grave else "[yellow]warning:[/yellow]"
        console.print(f"{word} {escape(doubt.sentence)}", soft_wrap=True)
        console.print(f"  [dim]{escape(doubt.mend)}[/dim]", soft_wrap=True, highlight=False)
    if not report.doubts:
        console.print("No warnings: the files can be used.", highlight=False)
    colour = {"ready": "green", "ready with warnings": "yellow", "not ready": "red"}
    console.print(f"Verdict: [bold {colour[report.verdict]}]{report.verdict}[/]", highlight=False)


def _table(title: str, *columns: str) -> Table:
    made = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for index, column in enumerate(columns):
        made.add_column(column, justify="right" if index else "left", no_wrap=index == 0)
    return made
