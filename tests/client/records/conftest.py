"""A hospital with further panels of numbers."""

import pytest

from tests.helpers.hospital_folder import HospitalFolder
from tests.helpers.sites.panels import GENES, PANELS, SIZES


@pytest.fixture
def with_panels(hospital: HospitalFolder) -> HospitalFolder:
    """Vitals in the records table, genes in a table of their own that lacks some records."""
    hospital.configure("panels", PANELS, "study.yaml")
    hospital.configure("model", SIZES, "study.yaml")
    rows = hospital.rows()
    for number, row in enumerate(rows):
        row["hr"], row["temp"] = str(70 + number), "" if number % 3 == 0 else f"{97 + number / 10}"
    hospital.write_rows(rows)
    genes = [
        {"id": row["record_id"], **{g: f"{n / 7 - 1:.3f}" for n, g in enumerate(GENES[:-1])}}
        for row in rows[::2]
    ]
    hospital.write_rows(genes, "genes.csv")
    vitals = {
        "heart_rate": {"column": "hr", "unit": "/min"},
        "temperature": {"column": "temp", "unit": "degF"},
    }
    table = {"path": "genes.csv", "on": "id"}
    hospital.configure(
        "panels", {"vitals": {"columns": vitals}, "genes": {"table": table, "lacks": ["G6"]}}
    )
    return hospital
