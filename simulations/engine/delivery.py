"""Messages and replies between Flower's store and its processes, without waiting for a clock.

Flower's engine looks for new messages ten times a second, and a server that looks for replies must
choose how often. A round of private training is one message a site and takes a second: these waits
would be a tenth of it. So two of the engine's loops are run here instead, with the same signatures
and the same work, and what arrives wakes who waits for it.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from queue import Empty, Queue

from flwr.app import Message
from flwr.server.superlink.fleet.vce import vce_api
from flwr.server.superlink.linkstate import LinkState

_STOPPED_S = 0.1  # between two looks whether the engine was stopped


class Delivery:
    """The two loops of one engine."""

    def __init__(self) -> None:
        self._pushed, self._replied = threading.Event(), threading.Event()

    def pushed(self) -> None:
        """A message lies in the store."""
        self._pushed.set()

    def wait_for_reply(self, most_s: float) -> None:
        """Until a reply lies in the store that came since the last call, at most so long."""
        self._replied.wait(most_s)
        self._replied.clear()

    @contextmanager
    def in_engine(self) -> Iterator[None]:
        """An engine that starts meanwhile uses these loops."""
        flowers = (vce_api.add_messages_to_queue, vce_api.put_message_into_state)
        loops = (self._hand_out, self._take_in)
        try:
            vce_api.add_messages_to_queue, vce_api.put_message_into_state = loops
            yield
        finally:
            vce_api.add_messages_to_queue, vce_api.put_message_into_state = flowers

    def _hand_out(
        self,
        state: LinkState,
        queue: Queue[Message],
        nodes_mapping: Mapping[int, int],
        f_stop: threading.Event,
    ) -> None:
        while not f_stop.is_set():
            for node in sorted(nodes_mapping):  # so that what is carried first is first
                for message in state.get_message_ins(node_id=node, limit=1):
                    queue.put(message)
            self._pushed.wait(_STOPPED_S)
            self._pushed.clear()  # before the next look: what is pushed from now on wakes it again

    def _take_in(self, state: LinkState, queue: Queue[Message], f_stop: threading.Event) -> None:
        while not f_stop.is_set():
            with suppress(Empty):
                state.store_message_res(queue.get(timeout=_STOPPED_S))
                self._replied.set()
