"""One synthetic hospital's own CSV and PNG, and the same told by FHIR R4."""

import base64
import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from simulations.hospitals.hospitals import write_hospitals
from tests.helpers.small_scenario import small_scenario

CODES = {"pneumonia": "J18.9", "pleural_effusion": "J90"}
HEALTHY = "Z00.0"
LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"
_FIRST = datetime(2024, 3, 1, 9, 30)
Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Exported:
    """`site_file` of the hospital's own tables; a FHIR folder and OMOP's tables to come."""

    folder: Path
    study_file: Path
    encounters: Sequence[Row]
    labs: Sequence[Row]
    sexes: Mapping[str, str]

    @property
    def site_file(self) -> Path:
        return self.folder / "site.yaml"

    @property
    def images(self) -> Path:
        return self.folder / "images"


def write_exported(folder: Path) -> Exported:
    """The hospital `east`, with dates: born, seen, and what they make of the age."""
    scenario = small_scenario(folder / "scenario", "cohort.patients=60")
    write_hospitals(scenario, folder / "hospitals", seed=0)
    east = folder / "hospitals" / "east"
    encounters, visits, born = (
        read_rows(east / "encounters.csv"),
        dict[str, int](),
        dict[str, date](),
    )
    for row in encounters:
        number = visits[row["patient_id"]] = visits.get(row["patient_id"], -1) + 1
        seen = _FIRST + timedelta(days=100 * number)
        day = seen.date() - timedelta(days=round(365.25 * int(row["age"])) + 40)
        row["born"] = born.setdefault(row["patient_id"], day).isoformat()
        row["seen"] = seen.isoformat()
    write_rows(east / "encounters.csv", encounters)
    document = yaml.safe_load((east / "site.yaml").read_text())
    document["columns"]["age"] = {"born": "born", "at": "seen"}
    (east / "site.yaml").write_text(yaml.safe_dump(document))
    return Exported(
        folder=east,
        study_file=folder / "hospitals" / "study.yaml",
        encounters=encounters,
        labs=read_rows(east / "labs.csv"),
        sexes={row["patient_id"]: row["sex"] for row in read_rows(east / "patients.csv")},
    )


def write_fhir(hospital: Exported, out: Path) -> Path:
    """A transaction a patient, with urn:uuid references, and Observations as a bulk export's."""
    out.mkdir(parents=True)
    for number, (patient, sex) in enumerate(hospital.sexes.items()):
        own = [row for row in hospital.encounters if row["patient_id"] == patient]
        resources: list[Row] = [
            {
                "resourceType": "Patient",
                "id": patient,
                "gender": {"m": "male", "f": "female"}[sex],
                "birthDate": own[0]["born"],
                "name": [{"family": "Nobody", "given": ["At", "All"]}],
            }
        ]
        for row in own:
            resources += _of_encounter(row)
        document = {
            "resourceType": "Bundle",
            "type": ("transaction", "collection", "searchset")[number % 3],
            "entry": [{"fullUrl": f"urn:uuid:{r['id']}", "resource": r} for r in resources],
        }
        (out / f"{number}_Nobody.json").write_text(json.dumps(document, indent=1))
    write_lines(out / "Observation.000.ndjson", _observations(hospital))
    return out


def write_lines(path: Path, resources: Iterable[Row]) -> None:
    path.write_text("".join(json.dumps(each) + "\n" for each in resources))


def _of_encounter(row: Row) -> Iterable[Row]:
    own, about = row["encounter_id"], {"reference": f"urn:uuid:{row['patient_id']}"}
    of_visit = {"subject": about, "encounter": {"reference": f"urn:uuid:{own}"}}
    yield {
        "resourceType": "Encounter",
        "id": own,
        "status": "finished",
        "class": {"code": "EMER"},
        "subject": about,
        "period": {"start": f"{row['seen']}+00:00"},
        **({"reasonCode": [{"text": row["complaint"]}]} if row["complaint"] else {}),
    }
    if row["image"]:
        yield {
            "resourceType": "ImagingStudy",
            "id": f"study-{own}",
            "status": "available",
            **of_visit,
            "started": f"{row['seen']}Z",
            "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{own}"}],
            "series": [{"uid": "1.2.3", "modality": {"code": "DX"}, "instance": [{"uid": own}]}],
        }
    named = [code for label, code in CODES.items() if row[label] == "1"] or [HEALTHY]
    for code in named:
        system = "http://hl7.org/fhir/sid/icd-10-cm"
        yield {
            "resourceType": "Condition",
            "id": f"{code}-{own}",
            **of_visit,
            "clinicalStatus": {"coding": [{"code": "active"}]},
            "verificationStatus": {"coding": [{"code": "confirmed"}]},
            "code": {"coding": [{"system": system, "code": code, "display": f"name of {code}"}]},
            "onsetDateTime": row["seen"][:10],
        }
    text = base64.b64encode(b"Both lungs are clear.").decode()
    yield {
        "resourceType": "DiagnosticReport",
        "id": f"report-{own}",
        "status": "final",
        **of_visit,
        "code": {"coding": [{"system": LOINC, "code": "36643-5", "display": "Chest X-ray"}]},
        "issued": row["seen"] + "Z",
        "presentedForm": [
            {"contentType": "text/plain; charset=utf-8", "data": text},
            {"contentType": "text/plain", "url": "file:///etc/passwd"},
        ],
    }


def _observations(hospital: Exported) -> Iterable[Row]:
    """Three hours before the visit; of each a stale value too, of a month before."""
    of_encounter = {row["encounter_id"]: row for row in hospital.encounters}
    for number, lab in enumerate(hospital.labs):
        row = of_encounter[lab["encounter_id"]]
        seen = datetime.fromisoformat(row["seen"])
        about = {"subject": {"reference": f"https://ehr.example/fhir/Patient/{row['patient_id']}"}}
        value = {
            "code": {"coding": [{"system": LOINC, "code": lab["loinc"]}]},
            "valueQuantity": {
                "value": float(lab["result"]),
                "unit": lab["unit"],
                "system": UCUM,
                "code": lab["unit"],
            },
        }
        panel = {"code": {"coding": [{"system": LOINC, "code": "24323-8"}]}, "component": [value]}
        yield {
            "resourceType": "Observation",
            "id": f"o{number}",
            "status": "final",
            **about,
            "encounter": {"reference": f"Encounter/{row['encounter_id']}"},
            # Three hours before, by a clock two hours ahead of UTC.
            "effectiveDateTime": (seen - timedelta(hours=1)).isoformat() + "+02:00",
            **(panel if number % 2 else value),
        }
        stale = {**value["valueQuantity"], "value": 1000.0}  # type: ignore[dict-item]
        yield {
            "resourceType": "Observation",
            "id": f"stale{number}",
            "status": "final",
            **about,
            "effectiveDateTime": (seen - timedelta(days=30)).isoformat() + "Z",
            **value,
            "valueQuantity": stale,
        }


def read_rows(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
