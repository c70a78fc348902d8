"""site.yaml as far as the files decide it; the rest stands in it as comments, with counts."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from client.imports.choices import Choices, all_numbers
from client.imports.record_columns import Cells
from client.imports.written_tables import LABS, RECORDS
from client.sources import History
from irene_model.study import Study, one_line

_MOST_NAMED = 12  # codes that a comment lists
_LONGEST_NAME = 60
_WORDS = ("negative", "positive")


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What the draft is made of.

    images: the folder of the image files as seen from site.yaml; None where there is none.
    study: None where nobody said which.
    """

    site: str
    columns: Cells
    history: History
    choices: Choices
    study: Study | None
    images: str | None
    labs: bool

    def text(self) -> str:
        """The file."""
        lines = [
            "# Drafted by irene-client import. What is behind # is yours to decide.",
            "# These tables hold patients' data: keep the folder in the house.",
            *_yaml({"site": self.site, "records": {"path": RECORDS}}),
            "columns:",
            *(f"  {line}" for line in self._columns()),
            *self._labs(),
            *self._labels(),
            "# splits: {validation: 0.1, test: 0.2}   # by patient; or train_before, by date",
            *self._budget(),
        ]
        return "\n".join(lines) + "\n"

    def _columns(self) -> Iterator[str]:
        has = self.columns
        yield from _yaml({"patient_id": "patient_id", "record_id": "record_id"})
        image = None if self.images is None else f"{self.images}/{{}}"
        if image is not None and "image" in has:
            yield from _yaml({"image": {"column": "image", "pattern": image}})
        else:
            yield "# image: {column: image, pattern: …}   # no file of an image was found"
        for name in ("body_part", "view"):
            if name in has:
                yield f"# {name}: {_counted(Counter(filter(None, has[name])), {})}"
        if "complaint" in has:
            yield from _yaml({"text": "complaint"})
        notes = [name for name in has if name.startswith("note_")]
        if notes:
            yield "# Texts by kind. A model reads what is known before the image: of a report on"
            yield "# the image itself it would learn to read reports."
        for name in notes:
            kind = name.removeprefix("note_")
            count = sum(map(bool, has[name]))
            yield one_line(f"# text: {_quoted(name)}   # {count} records: {self._name(kind)}", 200)
        if "complaint" not in has and not notes:
            yield "# text: …   # no text was found"
        if "age" in has:
            yield from _yaml({"age": {"column": "age", "unit": "years"}})
        if "sex" in has:
            said = {"female": ["female"], "male": ["male"], "unknown": ["other"]}
            yield from _yaml({"sex": {"column": "sex", **said}})

    def _labs(self) -> Iterator[str]:
        if not self.labs:
            yield "# lab_table: …   # no laboratory value was found"
            return
        tests = {} if self.study is None else {test.loinc: test.name for test in self.study.labs}
        rows: Counter[str] = Counter()
        for (code, _), count in self.history.tests.items():
            rows[code] += count
        found = [code for code in tests if rows[code]]
        table = {
            "path": LABS,
            **{"on": "record_id", "patient": "patient_id", "test": "code", "value": "value"},
            **{"unit": "unit", "comparator": "comparator"},
        }
        timed = "taken_at" in self.columns
        if timed:
            # Which value counts is a clinical choice; this one is a beginning.
            table |= {"take": "nearest", "time": "taken_at", "at": "taken_at"}
            table["window"] = {"before": 48, "after": 24}  # type: ignore[assignment]
            yield "# Which value counts is a clinical choice: first, last, nearest or mean, and the"
            yield "# hours around the image or visit. Change it before you join."
        lines = _yaml({"lab_table": table})
        if found:
            yield from lines
            yield from _yaml({"words": {"negative": "<", "positive": ">"}})
        else:
            yield "# No value is of a test of the study; list your codes for it under codes."
            yield from (f"# {line}" for line in lines)
        for code in found:
            units = Counter(
                {u or "none": n for (c, u), n in self.history.tests.items() if c == code}
            )
            yield f"# {tests[code]} ({code}): {_counted(units, {})}"
        lacking = [name for code, name in tests.items() if not rows[code]]
        if lacking:
            yield f"# Without a value: {one_line(', '.join(lacking), 400)}"
        others = Counter({code: n for code, n in rows.items() if code not in tests and code})
        if others:
            yield f"#   codes: {{…: [{_quoted(others.most_common(1)[0][0])}]}}   # other codes:"
            yield from self._listed(others)

    def _labels(self) -> Iterator[str]:
        labels = {name: self._label(codes) for name, codes in self.choices.labels.items()}
        columns = [name for name in ("icd10", self.history.code_system) if name in self.columns]
        if columns:
            near = f"{self.choices.days:g} days of it"
            yield f"# Diagnoses are those of a record's visit, or within {near}: a record of which"
            yield "# only others are coded so near is negative. Is that so in your house?"
        yield from _yaml({"labels": labels}) if labels else ["labels: {}   # instead of {}:"]
        open_ones = [] if self.study is None else sorted(set(self.study.labels) - set(labels))
        for name in open_ones or ([] if self.study is not None else ["…"]):
            example = "names: […]" if columns and columns[0] != "icd10" else "icd10: […]"
            yield f"#  {_quoted(name)}: {{column: {columns[0] if columns else '…'}, {example}}}"
        for column in columns if open_ones else ():
            cells = self.columns[column]
            codes = Counter(
                code.removeprefix("suspected ").split(" ")[0]
                for cell in cells
                for code in cell.split("; ")
                if code and not code.startswith("excluded ")
            )
            yield f"# Codes in column {column}, by records:"
            yield from self._listed(codes)

    def _label(self, codes: Sequence[str]) -> dict[str, Any]:
        if not all_numbers(tuple(codes)):
            return {"column": "icd10", "icd10": list(codes)}
        return {
            "column": self.history.code_system,
            "names": list(codes),
            "uncertain": [f"suspected {code}" for code in codes],
            "negative": [f"excluded {code}" for code in codes],
        }

    def _budget(self) -> Iterator[str]:
        privacy = None if self.study is None else self.study.privacy
        epsilon = 8.0 if privacy is None or privacy.epsilon is None else privacy.epsilon
        delta = 1e-5 if privacy is None else privacy.delta
        yield "# The most that all studies together may spend: yours to decide, before you join."
        yield f"budget: {{epsilon: {epsilon:g}, delta: {delta:.3e}}}"

    def _name(self, code: str) -> str:
        name = one_line(self.history.names.get(code, ""), _LONGEST_NAME)
        return f"{one_line(code, _LONGEST_NAME)} {name}".strip() or "of no kind"

    def _listed(self, codes: "Counter[str]") -> Iterator[str]:
        for code, count in _most(codes):
            yield f"#   {self._name(code)}: {count}"
        if len(codes) > _MOST_NAMED:
            yield f"#   and {len(codes) - _MOST_NAMED} others"


def _most(counts: "Counter[str]") -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_MOST_NAMED]


def _counted(counts: "Counter[str]", names: Mapping[str, str]) -> str:
    said = [f"{one_line(names.get(each, each), 40)} {count}" for each, count in _most(counts)]
    more = f" and {len(counts) - _MOST_NAMED} others" if len(counts) > _MOST_NAMED else ""
    return ", ".join(said) + more


def _quoted(name: str) -> str:
    return _yaml(name)[0]


def _yaml(document: Any) -> list[str]:
    """Lines of YAML, what is deep on one line."""
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=10_000)
    return [line for line in text.splitlines() if line != "..."]
