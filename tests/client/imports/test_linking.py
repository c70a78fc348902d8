"""What belongs to which record: by hand, and against an own slow version."""

import math
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from client.imports import linking
from client.imports.choices import Choices
from client.imports.linking import Owners, Record, one_id_each, records_of
from client.sources.history import History, Person, Picture, Visit
from client.sources.moments import Moment
from client.sources.pictures import Header, Scanned, by_name

START = datetime(2024, 1, 1)


def day(number: float) -> Moment:
    return Moment(at=START + timedelta(days=number), known="time")


def test_linked_patients_are_one_person_also_in_a_circle() -> None:
    history = History(code_system="snomed", persons={p: Person() for p in "dcba"})
    pairs = [("b", "c"), ("c", "b"), ("c", "d"), ("d", "b"), ("a", "gone"), ("x", "y")]
    history.same.extend(pairs)
    assert one_id_each(history) == {"a": "a", "gone": "a", "b": "b", "c": "b", "d": "b"}


@pytest.mark.parametrize("at_once", [3, 4_000_000])
def test_pairs_are_those_of_a_slow_loop(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linking, "_PAIRS", at_once)
    rng = np.random.default_rng(0)
    patients = sorted(f"p{n}" for n in rng.integers(0, 6, 30))
    records = [
        Record(id=str(n), patient=p, visit=f"v{n}" if n % 3 else "", at=day(n) if n % 5 else None)
        for n, p in enumerate(patients)
    ]
    ids = {**{p: p for p in set(patients)}, "alias": patients[0]}
    things = [
        (f"p{rng.integers(0, 8)}" if n % 7 else "alias", f"v{rng.integers(0, 40)}" if n % 2 else "",
         float(rng.integers(-5, 40)) if n % 4 else math.nan)
        for n in range(200)
    ]  # fmt: skip
    seconds = np.array([math.nan if math.isnan(when) else day(when).seconds for *_, when in things])
    rows, found = Owners(records, ids, 2.0).pairs(
        pa.array([p for p, *_ in things]), pa.array([v for _, v, _ in things]), seconds
    )
    expected = [
        (row, number)
        for row, (patient, visit, _) in enumerate(things)
        for number, record in enumerate(records)
        if ids.get(patient) == record.patient
        and ((visit and visit == record.visit) or abs(seconds[row] - record.seconds) <= 2 * 86_400)
    ]
    assert [*zip(rows.tolist(), found.tolist(), strict=True)] == expected
    assert expected


def header(view: str, **uids: str) -> Header:
    own = (uids.get("instance", ""), "", uids.get("study", ""))
    return Header(
        patient="p", uids=own, accession="", modality="DX", view=view, body_part="", at=None,
        born=None, age="", sex="",
    )  # fmt: skip


def test_of_a_study_the_frontal_image_is_taken_and_names_never_leave_the_folder() -> None:
    files = by_name(
        [
            Scanned(path="a", header=header("LL", study="1.2")),
            Scanned(path="b", header=header("AP", study="1.2")),
            Scanned(path="c", header=header("PA", study="1.2")),
        ]
    )
    history = History(code_system="snomed", persons={"p": Person()})
    history.pictures["s"] = Picture(patient="p", names=("1.2",))
    history.pictures["t"] = Picture(patient="p", names=("../../etc/passwd", "/etc/passwd"))
    history.pictures["u"] = Picture(patient="q", names=("1.2",))
    records = records_of(history, {"p": "p"}, Choices(site="x"), files)
    assert [(record.id, record.image) for record in records] == [("s", "c"), ("t", "")]
    assert history.tally.passed == {
        ("images", "of a patient who is not there"): 1,
        ("image files", "another one of the record is taken"): 2,
        ("image files", "named, and not in the folder of images"): 1,
    }


def test_a_visit_is_a_record_with_its_image_or_without() -> None:
    history = History(code_system="snomed", persons={"p": Person()})
    history.visits.update(
        {
            "v": Visit(patient="p", at=day(0), reason="cough"),
            "w": Visit(patient="q", at=None),
        }
    )
    history.pictures.update(
        {
            "s": Picture(patient="p", visit="v", modality="CT"),
            "t": Picture(patient="p", visit="v", modality="CR", body_part="Chest"),
            "u": Picture(patient="p", visit="v", modality="CR", body_part="Knee"),
            "x": Picture(patient="p", visit="gone"),
        }
    )
    choices = Choices(site="x", records="visits", body_parts=("chest",))
    (record,) = records_of(history, {"p": "p"}, choices, {})
    assert (record.id, record.reason, record.picture) == ("v", "cough", history.pictures["t"])
