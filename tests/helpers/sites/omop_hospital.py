"""The synthetic hospital of `exported_hospital`, told by OMOP's Common Data Model 5.4."""

import sqlite3
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.helpers.sites.exported_hospital import CODES, Exported, Row, write_rows

_CONCEPTS = {  # concept_id -> (code, vocabulary, name)
    **{f"30{n}": (c, "LOINC", f"test {c}") for n, c in enumerate(("1988-5", "718-7", "1751-7"))},
    "399": ("10154-3", "LOINC", "Chief complaint Narrative - Reported"),
    "255848": ("233604007", "SNOMED", "Pneumonia"),
    "254061": ("60046008", "SNOMED", "Pleural effusion"),
    "1": ("102499006", "SNOMED", "Fit and well"),
    "45": ("DX", "DICOM", "Digital Radiography"),
}
CONCEPT_OF = {"pneumonia": "255848", "pleural_effusion": "254061"}


def omop_tables(hospital: Exported) -> dict[str, list[Row]]:
    """The tables; arterial_po2 has no concept, and its LOINC code as source value."""
    persons = {patient: str(n) for n, patient in enumerate(hospital.sexes, 1)}
    visits = {row["encounter_id"]: str(n) for n, row in enumerate(hospital.encounters, 1)}
    of_loinc = {code: own for own, (code, *_) in _CONCEPTS.items()}
    tables: dict[str, list[Row]] = {name: [] for name in ("note", "condition_occurrence")}
    born = {row["patient_id"]: row["born"] for row in hospital.encounters}
    tables["person"] = [
        {
            "person_id": own,
            "gender_concept_id": {"m": "8507", "f": "8532"}[hospital.sexes[patient]],
            **dict(zip(("year_of_birth", "month_of_birth", "day_of_birth"),
                       born[patient].split("-"), strict=True)),
            "person_source_value": patient,
        }
        for patient, own in persons.items()
    ]  # fmt: skip
    own = {
        row["encounter_id"]: {
            "person_id": persons[row["patient_id"]],
            "visit_occurrence_id": visits[row["encounter_id"]],
        }
        for row in hospital.encounters
    }
    when = {row["encounter_id"]: datetime.fromisoformat(row["seen"]) for row in hospital.encounters}
    tables["visit_occurrence"] = [
        {**own[name], "visit_start_date": at.date(), "visit_start_datetime": str(at)}
        for name, at in when.items()
    ]
    for row in hospital.encounters:
        name = row["encounter_id"]
        if row["complaint"]:
            note = {"note_class_concept_id": "399", "note_text": row["complaint"]}
            tables["note"].append({**own[name], **note, "note_date": when[name].date()})
        for concept in [CONCEPT_OF[label] for label in CODES if row[label] == "1"] or ["1"]:
            found = {"condition_concept_id": concept, "condition_start_date": when[name].date()}
            tables["condition_occurrence"].append({**own[name], **found})
    tables["image_occurrence"] = [
        {
            "image_occurrence_id": visits[row["encounter_id"]],
            **own[row["encounter_id"]],
            "local_path": f"/pacs/{row['image']}",
            "modality_concept_id": "45",
        }
        for row in hospital.encounters
        if row["image"]
    ]
    tables["measurement"] = [
        {
            "measurement_id": number,
            **own[lab["encounter_id"]],
            "measurement_concept_id": of_loinc.get(lab["loinc"], "0"),
            "measurement_source_value": lab["loinc"],
            "measurement_datetime": str(when[lab["encounter_id"]] - timedelta(hours=3)),
            "value_as_number": lab["result"],
            "unit_source_value": lab["unit"],
        }
        for number, lab in enumerate(hospital.labs)
    ]
    tables["concept"] = [
        {"concept_id": own, "concept_code": code, "vocabulary_id": system, "concept_name": name}
        for own, (code, system, name) in _CONCEPTS.items()
    ]
    return tables


def write_omop(hospital: Exported, out: Path, kind: str = "csv") -> Path:
    """OMOP's tables as `csv`, `parquet` or one file of `sqlite`."""
    tables = omop_tables(hospital)
    if kind == "sqlite":
        with sqlite3.connect(out) as database:
            for name, rows in tables.items():
                database.execute(f"CREATE TABLE {name} ({', '.join(rows[0])})")
                places = ", ".join("?" * len(rows[0]))
                cells = [[str(cell) for cell in row.values()] for row in rows]
                database.executemany(f"INSERT INTO {name} VALUES ({places})", cells)
        database.close()
        return out
    out.mkdir(parents=True)
    for name, rows in tables.items():
        if kind == "csv":
            write_rows(out / f"{name.upper()}.csv", rows)
        else:
            import pyarrow as pa
            from pyarrow import parquet

            typed = [{key: _typed(key, cell) for key, cell in row.items()} for row in rows]
            parquet.write_table(pa.Table.from_pylist(typed), out / f"{name}.parquet")
    return out


def _typed(name: str, cell: Any) -> Any:
    """Numbers as numbers, as a database's export has them."""
    if name.endswith("_id") and name != "vocabulary_id":
        return int(cell)
    return float(cell) if name == "value_as_number" else cell
