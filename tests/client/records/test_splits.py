"""Splits: by patient, by date, and at a hospital that only evaluates."""

from collections import defaultdict
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.check.quality import inspect
from client.records.patients import assignment_of, digest
from client.records.splits import held_out_split_of, split_of
from client.records.tables import read_wanted_records
from client.site.splits import Splits
from irene_model.errors import ConfigError
from tests.helpers.hospital_folder import HospitalFolder
from tests.helpers.sites.read_tables import records_of, refusal

LATER = "from splits.train_before on, of a patient who trains"


def dated(hospital: HospitalFolder, days: list[str]) -> HospitalFolder:
    """A hospital whose records have these dates, again and again, and no split column."""
    rows = hospital.rows()
    cells = (days * len(rows))[: len(rows)]
    hospital.write_rows([{**row, "seen": day} for row, day in zip(rows, cells, strict=True)])
    hospital.configure("columns.split", None)
    hospital.configure(
        "splits", {"train_before": date(2024, 1, 1), "date": "seen", "validation": 0.2, "test": 0.3}
    )
    return hospital


def test_patients_first_seen_before_the_day_train_and_their_later_records_are_left_out(
    hospital: HospitalFolder,
) -> None:
    # Two records a patient: both before, one on either side, both after.
    days = [
        "2023-05-01",
        "31.12.2023 23:59",
        "2024-03-01",
        "2023-12-31",
        "2024-01-01",
        "2024-02-02",
    ]
    dated(hospital, days)
    placed, left_out = read_wanted_records(hospital.site, hospital.study)
    kept = {each.record.record_id: each.record.split for each in placed}
    assert [kept.get(f"R{n:03d}") for n in range(4)] == ["train", "train", None, "train"]
    assert {kept["R004"], kept["R005"]} <= {"validation", "test"}
    assert left_out == {LATER: 3}
    report = inspect(hospital.site, hospital.study)
    assert report.left_out == {LATER: 3} and report.records == 17


@given(
    st.lists(st.tuples(st.integers(0, 6), st.dates(date(2020, 1, 1), date(2028, 1, 1))), min_size=1)
)
def test_nobody_is_in_two_splits_and_training_never_sees_the_future(
    records: list[tuple[int, date]],
) -> None:
    """By hand: the rule itself, beside the reader that a table's frame goes through."""
    from client.columns import Column
    from client.records.frames import Frame
    from client.records.splits import read_splits
    from client.site.site import Site
    from tests.helpers.hospital_folder import SITE

    columns = {k: v for k, v in SITE["columns"].items() if k != "split"}
    border = date(2024, 1, 1)
    splits = {"train_before": border, "date": "seen"}
    site = Site.model_validate({**SITE, "columns": columns, "splits": splits})
    patients = [f"P{patient}" for patient, _ in records]
    cells = [day.isoformat() for _, day in records]
    lines = range(2, len(cells) + 2)
    column = Column(table="t.csv", counted="line", name="seen", cells=cells, lines=lines)
    found, left_out = read_splits(
        site, Frame(columns={"seen": column}, tables=("t.csv",)), patients
    )
    homes, firsts = defaultdict(set), dict[str, date]()
    for row, (patient, (_, day)) in enumerate(zip(patients, records, strict=True)):
        firsts[patient] = min(day, firsts.get(patient, day))
        homes[patient].add(found[row])
        kept_in_training = found[row] == "train" and row not in left_out
        assert not (kept_in_training and day >= border)
    assert all(len(each) == 1 for each in homes.values())
    for patient, first in firsts.items():
        assert (homes[patient] == {"train"}) == (first < border)


def test_a_record_without_a_date_is_refused(hospital: HospitalFolder) -> None:
    dated(hospital, ["2023-05-01", "2024-05-01"])
    hospital.set_cell(4, "seen", "unknown")
    assert "column 'seen': is empty, expected the date that decides the split" in refusal(hospital)
    hospital.configure("splits.date", "sen")
    assert "no column 'sen', named by splits.date; did you mean 'seen'" in refusal(hospital)


@pytest.mark.parametrize(
    ("dotted", "value", "said"),
    [
        ("splits", {"train_before": date(2024, 1, 1)}, "train_before needs date"),
        ("splits", {"date": "seen"}, "train_before needs date"),
        ("splits.validation", 0.6, "must leave patients"),
        ("columns.split", {"column": "split"}, "both split"),
        ("role", "validation-site", "trains at no time"),
        ("role", "observer", "training-site"),
    ],
)
def test_mistakes(hospital: HospitalFolder, dotted: str, value: Any, said: str) -> None:
    dated(hospital, ["2023-05-01"])
    if dotted == "splits.validation":
        hospital.configure("splits.test", 0.5)
    hospital.configure(dotted, value)
    with pytest.raises(ConfigError, match=said):
        _ = hospital.site


def test_a_split_by_date_is_not_a_function_of_the_id_alone(hospital: HospitalFolder) -> None:
    """So that the ledger counts earlier charges for everybody where its patients change."""
    dated(hospital, ["2023-05-01"])
    site, one = hospital.site, {digest("P000"): "train"}
    other = {**one, digest("P001"): "test"}
    assert assignment_of(site, one) != assignment_of(site, other)  # type: ignore[arg-type]
    hospital.configure("splits", None)
    site = hospital.site
    assert assignment_of(site, one) == assignment_of(site, other)  # type: ignore[arg-type]
    hospital.configure("role", "validation-site")
    assert assignment_of(hospital.site, other) != assignment_of(site, other)  # type: ignore[arg-type]


def test_a_validation_site_holds_all_its_patients_out(hospital: HospitalFolder) -> None:
    hospital.configure("role", "validation-site")
    placed, left_out = read_wanted_records(hospital.site, hospital.study)
    assert {each.record.split for each in placed} == {"validation", "test"}
    assert left_out == {"in the training split of a site that only evaluates": 12}
    hospital.configure("columns.split", None)
    placed, left_out = read_wanted_records(hospital.site, hospital.study)
    assert len(placed) == 20 and not left_out
    assert "train" not in {each.record.split for each in placed}


def test_what_is_held_out_keeps_the_proportion() -> None:
    splits = Splits(validation=0.1, test=0.3)
    drawn = [held_out_split_of(f"patient {n}", splits) for n in range(4000)]
    assert drawn.count("validation") == pytest.approx(1000, abs=110)
    assert held_out_split_of("x", Splits(validation=0, test=0.2)) == "test"
    assert split_of("x", Splits(validation=0, test=0)) == "train"


def test_another_day_moves_only_whom_it_concerns(hospital: HospitalFolder) -> None:
    start = date(2023, 1, 1)
    dated(hospital, [(start + timedelta(days=40 * n)).isoformat() for n in range(20)])
    before = {r.patient_id: r.split for r in records_of(hospital)}
    hospital.configure("splits.train_before", date(2024, 6, 1))
    after = {r.patient_id: r.split for r in records_of(hospital)}
    moved = {patient for patient in before if before[patient] != after[patient]}
    assert moved and all(after[patient] == "train" for patient in moved)
