"""A message is answered with the trainer's answer or a refusal, and never by what was shipped."""

import hashlib
import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from client.app import asked_by
from client.node import errand
from client.node.errand import USED, Errand, check_flower
from client.trainer import handover
from client.trainer.channel import SOCKET
from irene_model.errors import IreneError
from irene_model.exchange.replies import TrainReply
from irene_model.exchange.requests import TrainRequest
from tests.client.test_refusals import context, message
from tests.helpers.hospital_folder import HospitalFolder

# `inspect.getsource` of Flower 1.41's functions, as they were read when errand.py was written.
# Where this fails, read the new source: what does it unpack, import, run? Then change this hash.
SOURCE = "550cd1160da2c014ee74fb0914107cbf8c34d54414259ebafea920505142fdd1"


def test_flower_is_the_one_that_was_read() -> None:
    flower = check_flower()
    source = "".join(inspect.getsource(getattr(flower, name)) for name in sorted(USED))
    assert hashlib.sha256(source.encode()).hexdigest() == SOURCE


@pytest.mark.parametrize("value", [None, lambda client, agent: None, 5])
@pytest.mark.parametrize("name", USED)
def test_a_changed_flower_runs_nothing(
    monkeypatch: pytest.MonkeyPatch, name: str, value: Any
) -> None:
    monkeypatch.setattr(check_flower(), name, value)
    with pytest.raises(IreneError, match=f"{name} is not the one.*nothing was run"):
        check_flower()


class Flower:
    """What the SuperNode would be given."""

    def __init__(self, asked: Message, site: Path) -> None:
        self._asked, self._context = asked, context(site)
        self.replies: list[Message] = []
        self.ends: list[tuple[str, str]] = []

    def pull_task_input(self, _: object) -> tuple[Message, Context, None, None]:
        return self._asked, self._context, None, None

    def push_message(self, _: object, reply: Message, _context: Context) -> None:
        self.replies.append(reply)

    def push_task_output(self, _: object, _context: Context, status: str, details: str) -> None:
        self.ends.append((status, details))


class Silent:
    """Where the SuperNode would be."""

    def SendTaskHeartbeat(self, _: object) -> None:  # noqa: N802  # Flower's name
        """A sign of life."""

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def asked(hospital: HospitalFolder, monkeypatch: pytest.MonkeyPatch) -> Message:
    for name in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)
    request = TrainRequest.about(hospital.study, run="r", round=3, deadline=1.0)
    return message("train", request.to_flat().values)


def answered(hospital: HospitalFolder, asked: Message, monkeypatch: pytest.MonkeyPatch) -> Flower:
    flower = Flower(asked, hospital.site_file)
    monkeypatch.setattr(errand, "check_flower", lambda: flower)
    monkeypatch.setattr(Errand, "_connected", lambda _: Silent())
    monkeypatch.setattr(handover, "_START_S", 0.3)
    Errand(
        folder=hospital.folder, runtime="127.0.0.1:1", token="t", insecure=True,
        root_certificates=None,
    ).run()  # fmt: skip
    return flower


def test_without_a_trainer_the_answer_is_a_refusal(
    hospital: HospitalFolder, asked: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    flower = answered(hospital, asked, monkeypatch)
    (reply,) = flower.replies
    said = TrainReply.from_flat(asked_by(reply).flat)
    assert (said.site, said.round, said.outcome, said.code) == ("north", 3, "failed", "error")
    assert said.reason == "error at the site (TrainerLost); the site's log says more"
    assert flower.ends == [("completed", "")]


def test_a_stranger_in_the_trainers_place_is_given_nothing(
    hospital: HospitalFolder, asked: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here it is this test, which the node's supervisor did not start."""
    from client.trainer.channel import listen

    with listen(hospital.folder) as listener:
        flower = answered(hospital, asked, monkeypatch)
        listener.settimeout(5)
        peer, _ = listener.accept()
        assert peer.recv(100) == b""
        peer.close()
    assert TrainReply.from_flat(asked_by(flower.replies[0]).flat).outcome == "failed"


def test_a_message_of_the_wrong_form_is_refused(
    hospital: HospitalFolder, asked: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    flower = answered(hospital, Message(RecordDict(), 2, "train"), monkeypatch)
    said = TrainReply.from_flat(asked_by(flower.replies[0]).flat)
    assert said.reason == "error at the site (KeyError); the site's log says more"
    assert str(hospital.folder) not in json.dumps(dict(said.to_flat().values))
    assert not (hospital.folder / SOCKET).exists()
