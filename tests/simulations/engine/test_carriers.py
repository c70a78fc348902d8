"""Many sites over few nodes: each message reaches its site, once, and its reply comes back."""

from collections.abc import Iterable
from typing import cast

from flwr.app import ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity

from simulations.engine.carriers import Carriers, site_of
from simulations.engine.delivery import Delivery


class Engine:
    """As Flower's grid: a message lies in its store until its reply is pulled."""

    def __init__(self) -> None:
        TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1  # who sends
        self.nodes: list[int] = []
        self.store: dict[str, Message] = {}
        self.answered: list[int] = []
        self.replies: list[Message] = []  # what is given, where the test says it
        self.expired = False

    def get_node_ids(self) -> list[int]:
        return self.nodes

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        if self.expired:
            return []
        for message in messages:
            assert message.metadata.dst_node_id in self.nodes
            message.metadata.__dict__["_message_id"] = f"engine's {len(self.answered)}"
            message.metadata.__dict__["_message_id"] += f" {message.metadata.group_id}"
            self.store[message.metadata.message_id] = message
        return [message.metadata.message_id for message in messages]

    def pull_messages(self, identifiers: Iterable[str]) -> list[Message]:
        """The last that came is the first that is answered."""
        if self.replies:
            told, self.replies = self.replies, []
            return told
        assert list(identifiers) == list(self.store)
        if not self.store:
            return []
        _, message = self.store.popitem()
        self.answered.append(site_of(message))
        return [Message(RecordDict(), reply_to=message)]


def sent(engine: Engine, sites: int, nodes: int) -> tuple[Carriers, dict[str, int]]:
    carriers = Carriers(cast(Grid, engine), sites=sites, carriers=nodes, delivery=Delivery())
    numbers = list(carriers.get_node_ids())
    assert len(numbers) == sites
    messages = [Message(RecordDict(), number, "train", ttl=60) for number in numbers]
    return carriers, dict(zip(carriers.push_messages(messages), range(sites), strict=True))


def test_a_thousand_sites_are_answered_once_over_a_few_nodes() -> None:
    engine = Engine()
    engine.nodes = [31, 32, 33]
    carriers, identifiers = sent(engine, 1000, 3)
    left = dict(identifiers)
    while left:
        assert len(engine.store) == min(3, len(left))
        assert len({m.metadata.dst_node_id for m in engine.store.values()}) == len(engine.store)
        (reply,) = carriers.pull_messages(list(left))
        site = site_of(reply)
        left.pop(next(each for each, of in left.items() if of == site))
    assert sorted(engine.answered) == list(range(1000))


def test_a_reply_waits_for_whoever_asks_for_it_and_is_given_once() -> None:
    engine = Engine()
    engine.nodes = [31, 32]
    carriers, identifiers = sent(engine, 2, 2)
    first, second = identifiers
    assert not list(carriers.pull_messages([first]))  # the other one was answered
    assert [site_of(each) for each in carriers.pull_messages([second])] == [1]
    assert [site_of(each) for each in carriers.pull_messages([first])] == [0]
    assert not list(carriers.pull_messages([first, second]))


def test_messages_wait_for_an_engine_that_has_no_nodes_yet() -> None:
    engine = Engine()
    carriers, identifiers = sent(engine, 2, 1)
    assert not engine.store
    engine.nodes = [31]
    carriers.pull_messages(identifiers)
    assert len(engine.store) == 1


def test_a_message_that_expired_while_it_waited_holds_no_node() -> None:
    engine = Engine()
    engine.nodes, engine.expired = [31], True
    carriers, identifiers = sent(engine, 2, 1)
    engine.expired = False
    assert not list(carriers.pull_messages(identifiers))
    carriers.push_messages([Message(RecordDict(), 2, "train", ttl=60)])
    assert [site_of(each) for each in engine.store.values()] == [1]


def took(engine: Engine, seconds: list[float | None]) -> Carriers:
    """A round of as many sites, each with a carrier, that told so many seconds of training."""
    carriers, identifiers = sent(engine, len(seconds), len(seconds))
    replies = []
    for message in engine.store.values():
        told = seconds[site_of(message)]
        values = {} if told is None else {"values": ConfigRecord({"seconds": told})}
        replies.append(Message(RecordDict({**values}), reply_to=message))
    engine.store.clear()
    engine.replies = replies
    assert len(list(carriers.pull_messages(identifiers))) == len(seconds)
    return carriers


def order(carriers: Carriers, engine: Engine, sites: int) -> list[int]:
    """Of the next round's messages: as the engine takes them, of the lowest node first."""
    carriers.push_messages(
        [Message(RecordDict(), number, "train", ttl=60) for number in range(1, sites + 1)]
    )
    by_node = sorted(engine.store.values(), key=lambda each: each.metadata.dst_node_id)
    return [site_of(each) for each in by_node]


def test_the_site_that_took_longest_is_first_where_all_can_be_carried_at_once() -> None:
    engine = Engine()
    engine.nodes = [33, 31, 34, 32]
    carriers = took(engine, [0.5, 2.0, None, 1.0])
    assert order(carriers, engine, 4) == [1, 3, 0, 2]


def test_of_more_sites_than_carriers_the_first_sent_are_the_first_carried() -> None:
    engine = Engine()
    engine.nodes = [31, 32]
    carriers, identifiers = sent(engine, 3, 2)
    carriers._took.update({2: 9.0})
    assert [site_of(each) for each in engine.store.values()] == [0, 1]
    carriers.pull_messages(identifiers)
    assert {site_of(each) for each in engine.store.values()} == {0, 2}


def test_what_says_no_time_is_no_time() -> None:
    engine = Engine()
    engine.nodes = [31, 32]
    carriers = took(engine, [float("nan"), -1.0])
    assert not carriers._took
