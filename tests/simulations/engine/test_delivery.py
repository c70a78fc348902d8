"""The engine's two loops that are run here do what Flower's do, and wake who waits."""

import inspect
import threading
from queue import Queue
from typing import cast

import pytest
from flwr.app import Message
from flwr.server.superlink.fleet.vce import vce_api
from flwr.server.superlink.linkstate import LinkState

from simulations.engine.delivery import Delivery

FLOWERS = (vce_api.add_messages_to_queue, vce_api.put_message_into_state)


class Store:
    """As Flower's, of one node: what is pushed is given once."""

    def __init__(self) -> None:
        self.pushed: list[str] = []
        self.replies: list[str] = []

    def get_message_ins(self, node_id: int, limit: int) -> list[str]:
        assert (node_id, limit) == (7, 1)
        return [self.pushed.pop()] if self.pushed else []

    def store_message_res(self, reply: str) -> None:
        self.replies.append(reply)


def test_the_loops_have_flowers_names_and_are_flowers_again_afterwards() -> None:
    with pytest.raises(RuntimeError, match="an engine that fails"), Delivery().in_engine():
        ours = (vce_api.add_messages_to_queue, vce_api.put_message_into_state)
        for our, flowers in zip(ours, FLOWERS, strict=True):
            assert our is not flowers
            assert list(inspect.signature(our).parameters) == list(
                inspect.signature(flowers).parameters
            )
        raise RuntimeError("an engine that fails")
    assert (vce_api.add_messages_to_queue, vce_api.put_message_into_state) == FLOWERS


def test_a_message_and_its_reply_wake_who_waits_for_them() -> None:
    delivery, store, stop = Delivery(), Store(), threading.Event()
    outgoing: Queue[Message] = Queue()
    incoming: Queue[Message] = Queue()
    with delivery.in_engine():
        loops = [
            threading.Thread(
                target=vce_api.add_messages_to_queue,
                args=(cast(LinkState, store), outgoing, {7: 0}, stop),
            ),
            threading.Thread(
                target=vce_api.put_message_into_state, args=(cast(LinkState, store), incoming, stop)
            ),
        ]
        for loop in loops:
            loop.start()
        try:
            for word in ("first", "second"):
                store.pushed.append(word)
                delivery.pushed()
                assert outgoing.get(timeout=60) == word
                incoming.put(cast(Message, f"reply to {word}"))
                delivery.wait_for_reply(60)
                assert store.replies[-1] == f"reply to {word}"
        finally:
            stop.set()
            for loop in loops:
                loop.join(60)
    assert not any(loop.is_alive() for loop in loops)
