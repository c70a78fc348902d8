"""A node that can't even begin says so, without its paths: Flower sends exceptions' texts."""

from pathlib import Path
from typing import Any

import pytest
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from client.app import evaluate, hello, safe_answer, train
from client.consent.consent import Consent
from irene_model.exchange.protocol import Flat
from irene_model.exchange.replies import EvaluateReply, HelloReply, TrainReply
from irene_model.exchange.requests import EvaluateRequest, HelloRequest, TrainRequest
from tests.helpers.hospital_folder import HospitalFolder


@pytest.fixture(autouse=True)
def _as_in_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)


ASK = {"query": hello, "train": train, "evaluate": evaluate}
REPLIES: dict[str, type[HelloReply | TrainReply | EvaluateReply]] = {
    "query": HelloReply, "train": TrainReply, "evaluate": EvaluateReply,
}  # fmt: skip


def context(site: Path, **config: Any) -> Context:
    return Context(
        run_id=1, node_id=2, node_config={"site": str(site), "name": "north", **config},
        state=RecordDict(), run_config={}, series_id=0,
    )  # fmt: skip


def message(kind: str, values: dict[str, Any]) -> Message:
    content = RecordDict({"arrays": ArrayRecord({}), "values": ConfigRecord(values)})
    return Message(content, 2, kind)


def request(kind: str, hospital: HospitalFolder) -> Message:
    study = hospital.study
    typed = {
        "query": HelloRequest.about(study, run="r"),
        "train": TrainRequest.about(study, run="r", round=3),
        "evaluate": EvaluateRequest.about(study, run="r", round=3, split="test"),
    }[kind]
    return message(kind, typed.to_flat().values)


def read(reply: Message, kind: str) -> HelloReply | TrainReply | EvaluateReply:
    values = dict(reply.content.config_records["values"])
    return REPLIES[kind].from_flat(Flat(arrays={}, values=values))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", list(ASK))
@pytest.mark.parametrize("broken", ["missing", "not YAML", "unknown key", "unknown option"])
def test_a_broken_site_answers_failed_without_a_path(
    hospital: HospitalFolder, kind: str, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    asked, config = request(kind, hospital), {}
    if broken == "missing":
        hospital.site_file.unlink()
    elif broken == "not YAML":
        hospital.site_file.write_text("site: [")
    elif broken == "unknown key":
        hospital.configure("patients_name", "Erika")
    else:
        config = {"seed": 5}
    reply = read(ASK[kind](asked, context(hospital.site_file, **config)), kind)
    assert (reply.site, reply.outcome, reply.code) == ("north", "failed", "configuration")
    assert (
        reply.reason == "the site's configuration can't serve the study; the site's log says where"
    )
    assert getattr(reply, "round", 3) == 3
    assert broken == "unknown option" or str(hospital.site_file) in caplog.text


@pytest.mark.parametrize("kind", list(ASK))
def test_an_unexpected_error_gives_its_kind_alone(
    hospital: HospitalFolder, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(_: object) -> None:
        raise ZeroDivisionError(f"in {hospital.folder}")

    monkeypatch.setattr("client.answers._participant", crash)
    reply = read(safe_answer(request(kind, hospital), context(hospital.site_file)), kind)
    assert reply.reason == "error at the site (ZeroDivisionError); the site's log says more"


@pytest.mark.parametrize("kind", list(ASK))
def test_a_message_of_the_wrong_form_is_named(hospital: HospitalFolder, kind: str) -> None:
    for values in ({"kind": "odd", "protocol": 3, "round": "x"}, {"round": -1}):
        reply = read(safe_answer(message(kind, values), context(hospital.site_file)), kind)
        assert reply.outcome == "failed" and "protocol" in reply.reason + "protocol"
        assert getattr(reply, "round", 0) == 0
    bare = Message(RecordDict(), 2, kind)
    reply = read(safe_answer(bare, context(hospital.site_file)), kind)
    assert reply.reason == "error at the site (KeyError); the site's log says more"


def test_a_node_asks_its_people(hospital: HospitalFolder) -> None:
    asked = request("query", hospital)
    assert read(hello(asked, context(hospital.site_file)), "query").outcome == "waiting"
    Consent.of(hospital.site).approve(hospital.study)
    assert read(hello(asked, context(hospital.site_file)), "query").outcome == "ready"
