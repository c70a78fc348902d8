"""How much of real notes each shipped vocabulary knows, and how long they are.

    python -m benchmarks.vocabulary.coverage NLMCXR_reports.tgz

The reports are those of the Indiana University collection of chest radiographs (Demner-Fushman et
al., J Am Med Inform Assoc 2016), as the National Library of Medicine gives them out; none of their
words went into the vocabularies. Words that were taken out of them (`XXXX`) do not count. Beside
them stand the complaints of the made-up cohort. `irene-client check` counts the same of a site.
"""

import tarfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal
from xml.etree import ElementTree

import numpy as np
import typer

from client.texts import TextCounts, count_texts
from irene_model.console import new_app, run_app
from irene_model.inputs import TextReader
from irene_model.study import Record, TextShape
from simulations.patients import draw_patients
from simulations.patients.complaints import PHRASINGS, write

app = new_app("Coverage and length of real notes, by vocabulary.")
_SECTIONS = ("INDICATION", "FINDINGS", "IMPRESSION")
_TAKEN_OUT = "XXXX"
_PATIENTS, _SEED = 500, 0  # of the made-up hospitals, each with a style of its own
_USUAL = 40  # text.max_tokens of a study that does not say


@app.command()
def table(
    reports: Annotated[Path, typer.Argument(help="The collection's archive of reports.")],
    *,
    max_tokens: Annotated[int, typer.Option(help="Of a study that asks for more.")] = 64,
    windows: Annotated[int, typer.Option(help="And by how many windows it reads.")] = 4,
) -> None:
    """Print a Markdown table."""
    cuts = (f"cut at {_USUAL}", f"at {max_tokens}", f"at {max_tokens} by {windows} windows")
    columns = (
        *("notes", "vocabulary", "words", "kept whole", "spelled", "tokens a word"),
        *("tokens of half, of 95 %", *cuts),
    )
    typer.echo(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    for name, records in {**_reports(reports), "made-up complaints": _complaints()}.items():
        for vocabulary in ("basic", "clinical"):
            counts, longer, whole = (
                _counted(records, vocabulary, *read)
                for read in ((_USUAL, 1), (max_tokens, 1), (max_tokens, windows))
            )
            cells = (
                f"{name} ({counts.texts})",
                vocabulary,
                f"{counts.words}",
                f"{counts.known:.1%}",
                f"{counts.unknown:.1%}",
                f"{counts.tokens / counts.words:.2f}",
                f"{counts.median}, {counts.long}",
                *(f"{each.cut / each.texts:.1%}" for each in (counts, longer, whole)),
            )
            typer.echo(f"| {' | '.join(cells)} |")


def _counted(
    records: Sequence[Record],
    vocabulary: Literal["basic", "clinical"],
    max_tokens: int,
    windows: int,
) -> TextCounts:
    shape = TextShape(vocabulary=vocabulary, max_tokens=max_tokens, windows=windows)
    return count_texts(records, TextReader.open(shape))


def _reports(archive: Path) -> dict[str, list[Record]]:
    """Section -> its texts, and all three sections as one."""
    found = defaultdict[str, list[Record]](list)
    with tarfile.open(archive) as files:
        for member in files:
            stream = files.extractfile(member) if member.name.endswith(".xml") else None
            if stream is None:
                continue
            said = {
                each.get("Label", ""): (each.text or "").replace(_TAKEN_OUT, " ")
                for each in ElementTree.parse(stream).iter("AbstractText")
            }
            texts = [said.get(section, "") for section in _SECTIONS]
            for section, text in zip(_SECTIONS, texts, strict=True):
                found[section.lower()].append(_record(text))
            found["whole report"].append(_record(" ".join(texts)))
    return dict(found)


def _complaints() -> list[Record]:
    rng = np.random.default_rng(_SEED)
    return [
        _record(write(encounter.symptoms, rng=rng, phrasing=phrasing))
        for phrasing in sorted(PHRASINGS)
        for patient in draw_patients(rng, num_patients=_PATIENTS)
        for encounter in patient.encounters
    ]


def _record(text: str) -> Record:
    return Record(patient_id="", record_id="", split="test", text=text, labs={}, labels={})


if __name__ == "__main__":
    run_app(app)
