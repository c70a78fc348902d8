"""irene-client split: a table that shares patients out, each label as frequent in each split."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from client.site import Site
    from irene_model.study import Record, Split, Study

_SPLIT = "split"  # the column's name


def split(
    *,
    site_file: Annotated[
        Path, typer.Argument(metavar="SITE.yaml", help="The hospital's description.")
    ],
    study_file: Annotated[
        Path, typer.Option("--study", metavar="STUDY.yaml", help="The contract of all sites.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE.csv", help="Where patients keep their split.")],
) -> None:
    """Share patients out, by `splits` in site.yaml, so that each label is alike in each split.

    Writes a table of patients and splits for you to join: a split column decides then. Patients
    whom FILE.csv names already stay where they are, and it is written again with the new ones.
    Make it before the first round: whoever changes splits is charged again, and the choice itself,
    like any split column, is no part of the privacy guarantee. Ids stay here: the file is yours.

    Example: `irene-client split site.yaml --study study.yaml --out splits.csv`
    """
    from collections import Counter

    from client.records import read_placed_records, stratified
    from client.site import Site
    from irene_model.errors import ConfigError
    from irene_model.study import Study

    site, study = Site.read(site_file), Study.read(study_file)
    if not site.trains or site.splits.train_before is not None:
        raise ConfigError(
            f"{site_file}: its splits are decided by role or splits.train_before; there is nothing "
            "to share out"
        )
    records = [placed.record for placed in read_placed_records(_without_column(site), study)]
    labels_of = _labels_of(records, study)
    kept = _kept(out, site)
    homes = stratified(labels_of, site.splits, kept)
    _write(out, site, {**kept, **homes})
    counts = Counter(homes.values())
    typer.echo(", ".join(f"{counts[each]} {each}" for each in ("train", "validation", "test")))
    for label in study.labels:
        having = Counter(homes[p] for p, labels in labels_of.items() if label in labels)
        shares = (f"{having[s]} of {counts[s]} {s}" for s in ("train", "validation", "test"))
        typer.echo(f"{label}: {', '.join(shares)}")
    typer.echo(
        f"Join it: {{path: {out.name}, on: {site.columns.patient_id}}}, and columns.split: "
        "{column: split}"
    )


def _without_column(site: "Site") -> "Site":
    """The same site, whose patients a hash would split: for who is not in the table yet."""
    columns = site.columns.model_copy(update={"split": None})
    return site.model_copy(update={"columns": columns})


def _labels_of(records: "Sequence[Record]", study: "Study") -> dict[str, frozenset[str]]:
    labels: dict[str, set[str]] = {}
    for record in records:
        having = labels.setdefault(record.patient_id, set())
        having.update(label for label in study.labels if record.labels.get(label) == 1)
    return {patient: frozenset(having) for patient, having in labels.items()}


def _kept(out: Path, site: "Site") -> "dict[str, Split]":
    import csv

    from irene_model.errors import ConfigError
    from irene_model.study import SPLITS

    if not out.exists():
        return {}
    try:
        with out.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise ConfigError(f"--out {out}: can't be read ({type(error).__name__})") from None
    known: dict[str, Split] = {split: split for split in SPLITS}
    header = (site.columns.patient_id, _SPLIT)
    odd = any(len(row) != len(header) or row[1] not in known for row in rows[1:])
    if not rows or tuple(rows[0]) != header or odd:
        raise ConfigError(
            f"--out {out}: is no table of this command, with the columns {' and '.join(header)}; "
            "name another file"
        )
    return {patient: known[split] for patient, split in rows[1:]}


def _write(out: Path, site: "Site", homes: "dict[str, Split]") -> None:
    import csv
    import io

    from irene_model.errors import ConfigError
    from irene_model.journal import write_private

    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerows([(site.columns.patient_id, _SPLIT), *sorted(homes.items())])
    try:
        write_private(out, text.getvalue().encode())
    except OSError as error:
        raise ConfigError(f"--out {out}: can't be written ({type(error).__name__})") from None
