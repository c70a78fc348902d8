"""Deadlines are durations: a message that waited too long is declined, whatever the clocks say."""

import time
from collections.abc import Iterator

import pytest
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity
from hypothesis import given
from hypothesis import strategies as st

from client.app import asked_by, hello
from client.gateway.clock import Reading, keep
from client.gateway.connection import node_folder
from irene_model.errors import StaleMessage
from irene_model.exchange.replies import HelloReply
from irene_model.exchange.requests import HelloRequest
from server.rounds.exchange import Exchange
from tests.helpers.hospital_folder import HospitalFolder, write_hospital


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HospitalFolder]:
    """One hospital for many examples: greetings without approval change nothing."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_task_id", "_run_id", "_node_id"):
            patch.setattr(TaskIdentity, name, 1)
        yield write_hospital(tmp_path_factory.mktemp("deadlines") / "north")


def greeted(hospital: HospitalFolder, *, deadline: float, created_at: float) -> HelloReply:
    """The reply to a greeting of the server that was dated `created_at`."""
    request = HelloRequest.about(hospital.study, run="r", deadline=deadline)
    values = ConfigRecord(dict(request.to_flat().values))
    message = Message(RecordDict({"arrays": ArrayRecord({}), "values": values}), 2, "query")
    message.metadata.created_at = created_at
    context = Context(
        run_id=1, node_id=2, node_config={"site": str(hospital.site_file), "name": "north"},
        state=RecordDict(), run_config={}, series_id=0,
    )  # fmt: skip
    reply = hello(message, context)
    return HelloReply.from_flat(asked_by(reply).flat)


@given(
    skew=st.one_of(st.floats(-305, 5), st.floats(-80_000, 80_000)),
    waited=st.floats(0, 10_000),
    deadline=st.floats(1, 10_000),
)
def test_what_waited_longer_than_its_deadline_is_declined_and_nothing_else(
    shared: HospitalFolder, skew: float, waited: float, deadline: float
) -> None:
    """`skew`: of this machine's clock against the server's, which dated the message."""
    folder = node_folder(shared.site)
    folder.mkdir(parents=True, exist_ok=True)
    keep(folder, Reading(offset=-skew, slack=1, wall=time.time(), steady=time.monotonic()))
    sent = time.time() - skew - waited
    reply = greeted(shared, deadline=deadline, created_at=sent)
    if abs(waited - deadline) > 5.0:
        assert (reply.code == "stale") == (waited > deadline), reply


@pytest.mark.parametrize("date", [float("nan"), float("inf"), 9e300, 0.0, -9e300])
def test_a_date_that_is_none_decides_nothing_but_to_decline(
    shared: HospitalFolder, date: float
) -> None:
    keep(node_folder(shared.site), None)
    reply = greeted(shared, deadline=60.0, created_at=date)
    assert reply.code == ("stale" if date <= 0 else "people")


def test_the_way_is_counted_and_then_ones_own_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [time.monotonic()]
    monkeypatch.setattr("irene_model.exchange.requests.time.monotonic", lambda: clock[0])
    fields = {"study": "{}", "fingerprint": "f", "run": "r", "deadline": 60.0}
    request = HelloRequest.from_flat(HelloRequest(**fields).to_flat())
    late = request.after(50.0)
    late.check_deadline()
    clock[0] += 11.0
    request.check_deadline()  # it is another copy that was on its way
    with pytest.raises(StaleMessage, match="1 s beyond its deadline"):
        late.check_deadline()
    assert late.to_flat().values == request.to_flat().values  # nothing of it travels


class _Grid:
    """Keeps what is pushed."""

    def __init__(self) -> None:
        self.pushed: list[Message] = []

    def push_messages(self, messages: list[Message]) -> list[str]:
        self.pushed += messages
        return ["x"] * len(messages)


def test_what_travels_is_the_time_that_each_site_has(
    hospital: HospitalFolder, shared: HospitalFolder
) -> None:
    grid = _Grid()
    exchange = Exchange(grid)  # type: ignore[arg-type]
    request = HelloRequest.about(hospital.study, run="r")
    exchange.send(request, {1: 30.0, 2: 90, 3: -1.0})
    sent = [message.content.config_records["values"]["deadline"] for message in grid.pushed]
    assert sent[:2] == [30.0, 90.0] and 0 < float(str(sent[2])) < 0.1
    assert all(isinstance(each, float) for each in sent)
