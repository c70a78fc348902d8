"""A small hospital's folder for tests: real files, as a hospital would have them."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from client.site.site import Site
from irene_model.study.study import Study

STUDY: dict[str, Any] = {
    "name": "test study",
    "labels": ["pneumonia", "death"],
    "image": {"size": 16, "patch": 8},
    "text": {"max_tokens": 6, "width": 8},
    "labs": [
        {"name": "CRP", "loinc": "1988-5", "unit": "mg/L", "low": 0, "high": 5},
        {"name": "lymphocytes", "loinc": "731-0", "unit": "10^9/L", "low": 1.1, "high": 4.0},
    ],
    "demographics": ["age", "sex"],
    "training": {"expected_batch": 4},
    "federation": {"rounds": 2, "local_steps": 2, "minimum_sites": 1},
    "privacy": {"epsilon": 8.0, "clip_norm": 1.0, "delta": 1.0e-3},
}
SMALL = {  # the key `model` of a study: as small as IRENE gets
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_bidirectional_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}
SITE: dict[str, Any] = {
    "site": "north",
    "records": {
        "path": "encounters.csv",
        "joins": [{"path": "patients.csv", "on": "patient_id"}],
    },
    "columns": {
        "patient_id": "patient_id",
        "record_id": "record_id",
        "image": {"column": "file", "pattern": "images/{}"},
        "text": "complaint",
        "age": "age",
        "sex": {"column": "sex"},
        "split": {"column": "split"},
    },
    "labs": {
        "CRP": {"column": "crp", "unit": "mg/dL"},
        "lymphocytes": {"column": "lympho", "unit": "1000/µl"},
    },
    "labels": {
        "pneumonia": {"column": "pneumonia"},
        "death": {"column": "death_offset", "rule": "filled"},
    },
    "budget": {"epsilon": 8, "delta": 1.0e-3},
    "minimum_group": 1,  # two patients of a split are enough for a test
}
TEXTS = ("fever, and\ncough", "cough, and\nfever")  # of the first and the second visit
SPLIT_OF_PATIENT = ("train", "train", "train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class HospitalFolder:
    """`site.yaml` with its files, and `study.yaml` beside it."""

    folder: Path

    @property
    def site_file(self) -> Path:
        return self.folder / "site.yaml"

    @property
    def study_file(self) -> Path:
        return self.folder / "study.yaml"

    @property
    def site(self) -> Site:
        return Site.read(self.site_file)

    @property
    def study(self) -> Study:
        return Study.read(self.study_file)

    def rows(self, table: str = "encounters.csv") -> list[dict[str, str]]:
        with (self.folder / table).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def write_rows(self, rows: Sequence[dict[str, Any]], table: str = "encounters.csv") -> None:
        with (self.folder / table).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    def set_cell(self, row: int, column: str, cell: str, table: str = "encounters.csv") -> None:
        """Write `cell` into 0-based `row`, which an editor shows on line row + 2."""
        rows = self.rows(table)
        rows[row][column] = cell
        self.write_rows(rows, table)

    def configure(self, dotted: str, value: Any, file: str = "site.yaml") -> None:
        """Set a key of site.yaml or study.yaml; None removes it."""
        path = self.folder / file
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        *parents, last = dotted.split(".")
        target = document
        for parent in parents:
            target = target[parent]
        if value is None:
            target.pop(last, None)
        else:
            target[last] = value
        path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")


def write_hospital(folder: Path, *, patients: int = 10, seed: int = 0) -> HospitalFolder:
    """Patients of two encounters each, 32x24 radiographs, every modality somewhere missing."""
    rng = np.random.default_rng(seed)
    hospital = HospitalFolder(folder=folder)
    (folder / "images").mkdir(parents=True)
    for name, document in (("site.yaml", SITE), ("study.yaml", STUDY)):
        (folder / name).write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    hospital.write_rows(
        [
            {"patient_id": f"P{p:03d}", "age": "" if p == 4 else 30 + p, "sex": "fm"[p % 2]}
            for p in range(patients)
        ],
        "patients.csv",
    )
    encounters = []
    for p in range(patients):
        for visit in range(2):
            number = 2 * p + visit
            pneumonia = (p // 2 + visit) % 2
            pixels = rng.integers(0, 100, (24, 32)) + 100 * pneumonia
            Image.fromarray(pixels.astype(np.uint8)).save(folder / "images" / f"{number}.png")
            encounters.append(
                {
                    "record_id": f"R{number:03d}",
                    "patient_id": f"P{p:03d}",
                    "file": "" if number % 7 == 3 else f"{number}.png",
                    "complaint": "" if number % 5 == 4 else TEXTS[visit],
                    "crp": ("", "-inf", "inf")[number % 7] if number % 7 < 3 else f"{number / 10}",
                    "lympho": f"{1 + number / 20:.2f}",
                    "pneumonia": "" if number % 9 == 8 else pneumonia,
                    "death_offset": "3.0" if p % 3 == 0 else "",
                    "split": SPLIT_OF_PATIENT[p % 5],
                }
            )
    hospital.write_rows(encounters)
    return hospital
