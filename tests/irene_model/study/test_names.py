"""Names and sentences from others: one alphabet and one length, at both ends."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from client.participant import Participant
from client.site.site import Site
from irene_model.errors import ConfigError, ProtocolError
from irene_model.exchange.protocol import Flat, check_update
from irene_model.exchange.replies import EvaluateReply, HelloReply, TrainReply
from irene_model.exchange.requests import TrainRequest
from irene_model.study.names import LONGEST_REASON, MOST_PANELS, OneLine, is_run_name, one_line
from irene_model.study.study import Study
from irene_model.weights.weights import new_model, to_arrays
from server.coordinator.enrolment import check_name
from server.runs.log_file import run_log
from tests.helpers.hospital_folder import SMALL, STUDY, HospitalFolder

GOOD = ["north", "North-2", "a" * 40, "9"]
BAD = [
    "", "-north", "a" * 41, "a b", "a/b", "../x", "süd", "a\n", "a.b", "a_b", "\u202ea", "<b>",
    'a"', "١", "a\x1b[31m",
]  # fmt: skip


def hello(**changes: object) -> HelloReply:
    values = {**HelloReply(site="x", outcome="ready").to_flat().values, **changes}
    return HelloReply.from_flat(Flat(arrays={}, values=values))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [*GOOD, *BAD])
def test_enrolment_site_file_and_reply_agree_on_a_sites_name(
    name: str, hospital: HospitalFolder
) -> None:
    def takes(what: object, *arguments: object) -> bool:
        try:
            what(*arguments)  # type: ignore[operator]
        except (ConfigError, ProtocolError):
            return False
        return True

    hospital.configure("site", name)
    said = [
        takes(check_name, name),
        takes(Site.read, hospital.site_file),
        takes(lambda: hello(site=name)),
    ]
    assert said == [name in GOOD] * 3


@pytest.mark.parametrize("name", ["first", "a.b_c-1", "X" * 100])
def test_names_of_runs(name: str) -> None:
    assert is_run_name(name)
    assert TrainRequest(study="{}", fingerprint="f", deadline=9e9, run=name, round=1).run == name


@pytest.mark.parametrize("name", ["first (before)", "", ".a", "a b", "a/b", "x" * 101, "a\n", "é"])
def test_a_run_whose_name_could_mean_something_else_is_refused(name: str) -> None:
    assert not is_run_name(name)
    with pytest.raises(ValidationError, match="run"):
        TrainRequest(study="{}", fingerprint="f", deadline=9e9, run=name, round=1)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "a\u202eb"}, {"name": "a\u200db"}, {"labels": ["a\nb"]}, {"labels": ["x" * 81]},
        {"labels": [f"l{i}" for i in range(1001)]}, {"text": {"language": "e\x1b[0m"}},
        {"labs": [{"name": "CRP", "loinc": "1-1", "unit": "mg\n", "low": 0, "high": 5}]},
        {"labs": [{"name": "CRP", "loinc": "1-1", "unit": "m" * 41, "low": 0, "high": 5}]},
        {"panels": [{"name": "A b", "unit": "1", "low": 0, "high": 1, "values": ["v"]}]},
        {"panels": [
            {"name": f"p{i}", "unit": "1", "low": 0, "high": 1, "values": ["v"]}
            for i in range(MOST_PANELS + 1)
        ]},
    ],
)  # fmt: skip
def test_a_study_with_another_alphabet_or_length_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Study.model_validate({**STUDY, **changes})


REASONS = ["a\nb", "a\rb", "\x1b[31mred", "\u202eabc", "a\u2028b", "x" * (LONGEST_REASON + 1), "\0"]


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("kind", [HelloReply, TrainReply, EvaluateReply])
def test_a_reason_that_is_no_line_is_refused(
    reason: str, kind: type[HelloReply | TrainReply | EvaluateReply]
) -> None:
    about = {} if kind is HelloReply else {"round": 1, "fingerprint": ""}
    good = kind.model_validate({"site": "x", "outcome": "failed", "reason": "Größe: 5 µg", **about})
    assert kind.from_flat(good.to_flat()).reason == "Größe: 5 µg"
    flat = good.model_copy(update={"reason": reason}).to_flat()
    with pytest.raises(ProtocolError, match="reason") as told:
        kind.from_flat(flat)
    assert str(told.value).isprintable() and len(str(told.value)) < 200


@pytest.mark.parametrize("key", ["a\nforged", "\x1b[2J", "k" * 10_000])
def test_a_key_or_an_arrays_name_is_quoted_as_one_line(key: str) -> None:
    flat = hello().to_flat()
    with pytest.raises(ProtocolError) as told:
        HelloReply.from_flat(Flat(arrays={}, values={**flat.values, key: 1}))
    with pytest.raises(ProtocolError) as update:
        check_update({key: np.ones(1, np.float32)}, {})
    for error in (told, update):
        assert str(error.value).isprintable() and len(str(error.value)) < 200


@given(st.text(max_size=2000))
def test_one_line_is_one_printable_line_of_its_length(text: str) -> None:
    line = one_line(text, 60)
    assert line.isprintable() and len(line) <= 60
    assert one_line(line, 60) == line
    if text.isprintable() and len(text) <= 60 and text == " ".join(text.split()):
        assert line == text


def test_a_record_is_one_line_of_the_log_whatever_it_quotes(tmp_path: Path) -> None:
    with run_log(tmp_path / "run.log"):
        for reason in (*REASONS, "A" * 20_000_000):
            logging.getLogger("server.x").warning("site %s: %s", "north", reason)
    lines = (tmp_path / "run.log").read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(REASONS) + 1
    assert all(line.isprintable() and len(line) < 2200 for line in lines)
    assert all("WARNING server.x: site north:" in line for line in lines)


def test_a_tracebacks_lines_stay() -> None:
    try:
        raise ZeroDivisionError
    except ZeroDivisionError as error:
        record = logging.LogRecord(
            "x", 40, "f", 1, "a\nb", (), (type(error), error, error.__traceback__)
        )
    first, *rest = OneLine("%(message)s").format(record).splitlines()
    assert first == "a b" and rest[0].startswith("Traceback") and rest[-1] == "ZeroDivisionError"


@pytest.mark.parametrize("count", [86, 100])
def test_a_study_of_many_panels_trains_and_replies(hospital: HospitalFolder, count: int) -> None:
    """86 panels of the longest names were once charged, and then too many to be named."""
    names = [f"{'p' * 36}{i:04d}" for i in range(count)]
    hospital.configure("model", SMALL, "study.yaml")
    hospital.configure(
        "panels",
        [{"name": n, "unit": "1", "low": 0, "high": 1, "values": ["v"]} for n in names],
        "study.yaml",
    )
    hospital.configure(
        "panels", {n: {"columns": {"v": {"column": "crp", "unit": "1"}}} for n in names}
    )
    study = hospital.study
    request = TrainRequest.about(
        study, run="r", round=1, arrays=to_arrays(new_model(study, seed=1))
    )
    reply = Participant.at(hospital.site_file).train(request)
    assert (reply.outcome, reply.reason) == ("updated", "")
    assert TrainReply.from_flat(reply.to_flat()).modalities.count("panel:") == count


def test_no_panel_is_called_as_what_every_module_has() -> None:
    def panel(name: str) -> dict[str, object]:
        return {"name": name, "unit": "1", "low": 0, "high": 1, "values": ["v"]}

    def accepted(name: str) -> bool:
        try:
            return bool(Study.model_validate({**STUDY, "panels": [panel(name)]}))
        except ValidationError:
            return False

    assert accepted("vitals")
    assert [name for name in dir(torch.nn.ModuleDict()) if accepted(name)] == []
