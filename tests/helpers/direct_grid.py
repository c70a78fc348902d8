"""A grid whose nodes are functions in this process: real messages, a real exchange, no network.

A node may be offline, silent for a while, or gone; what it answers may be a real participant's
reply, or one that the test makes up.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import cast

from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.common import Error
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity

from client.participant import Participant
from irene_model.exchange.protocol import Flat
from irene_model.exchange.protocol import Message as Typed
from irene_model.exchange.requests import EvaluateRequest, HelloRequest, TrainRequest
from irene_model.study.wire import STYPE, Packed
from server.rounds.exchange import Exchange
from server.rounds.looks import Looks

Answer = Callable[[Flat], Typed | RecordDict | int]  # a reply, or one of Flower's error codes


@dataclass
class Node:
    """online: whether Flower sees it. silent: messages of these kinds wait until it is cleared.

    losing: how many of the next training messages break off on their way and never arrive.
    """

    answer: Answer
    online: bool = True
    silent: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    losing: int = 0


class DirectGrid:
    """Answers when it is pulled; as Flower's, it forgets a message once it gave a reply."""

    def __init__(self, nodes: dict[int, Node]) -> None:
        TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1  # who sends
        self.nodes = nodes
        self.waiting: dict[str, tuple[int, Message, Flat]] = {}
        self.lost: set[str] = set()
        self._count = 0

    def get_node_ids(self) -> list[int]:
        return [node for node, each in self.nodes.items() if each.online]

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        identifiers = []
        for message in messages:
            self._count += 1
            identifier = f"message {self._count}"
            packed = {
                name: Packed(encoding=array.dtype, shape=tuple(array.shape), data=array.data)
                for name, array in message.content.array_records["arrays"].items()
            }
            flat = Flat.unpacked(packed, dict(message.content.config_records["values"]))  # type: ignore[arg-type]
            node = message.metadata.dst_node_id
            self.nodes[node].asked.append(_what(flat))
            if flat.values["kind"] == "train" and self.nodes[node].losing:
                self.nodes[node].losing -= 1
                self.lost.add(identifier)
            self.waiting[identifier] = (node, message, flat)
            identifiers.append(identifier)
        return identifiers

    def pull_messages(self, identifiers: Iterable[str]) -> list[Message]:
        replies = []
        for identifier in identifiers:
            if identifier in self.lost:
                continue
            number, message, flat = self.waiting[identifier]
            node = self.nodes[number]
            assert node.online, "asked for the reply of a node that is offline, Flower drops it"
            if str(flat.values["kind"]) in node.silent:
                continue
            del self.waiting[identifier]
            replies.append(_reply(message, node.answer(flat)))
        return replies


def exchange_with(nodes: dict[int, Node]) -> Exchange:
    """A real exchange over a `DirectGrid`."""
    return Exchange(cast(Grid, DirectGrid(nodes)), looks=Looks(least_s=0.01))


def hospital_node(participant: Participant) -> Node:
    """A node that runs a real client."""

    def answer(flat: Flat) -> Typed:
        match flat.values["kind"]:
            case "hello":
                return participant.hello(HelloRequest.from_flat(flat))
            case "train":
                return participant.train(TrainRequest.from_flat(flat))
        return participant.evaluate(EvaluateRequest.from_flat(flat))

    return Node(answer)


def _what(flat: Flat) -> str:
    return f"{flat.values['kind']} {flat.values.get('round', '')}".strip()


def _reply(message: Message, answer: Typed | RecordDict | int) -> Message:
    if isinstance(answer, int):
        return Message(Error(code=answer, reason="a path of the hospital's"), reply_to=message)
    if isinstance(answer, RecordDict):
        return Message(answer, reply_to=message)
    return Message(records_of(answer.to_flat()), reply_to=message)


def records_of(flat: Flat) -> RecordDict:
    """Flower's records of a reply."""
    arrays = ArrayRecord(
        {
            name: Array(each.encoding, each.shape, STYPE, each.data)
            for name, each in flat.packed().items()
        }
    )
    return RecordDict({"arrays": arrays, "values": ConfigRecord(dict(flat.values))})
