"""Messages to the sites over Flower's grid, and their replies, one in memory at a time."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid

from irene_model.protocol import Arrays, Flat
from irene_model.protocol import Message as Typed

_TYPES = {"hello": "query", "train": "train", "evaluate": "evaluate"}
# Flower's own codes; its reasons may hold a site's exception text and stay out of our records.
_ERRORS = {5: "the node went away", 8: "the client process crashed"}


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What came back from `node`: `flat`, or nothing and the `reason` why."""

    node: int
    flat: Flat | None
    reason: str
    seconds: float

    @property
    def missing(self) -> bool:
        """No reply at all before the deadline."""
        return self.flat is None and self.reason == "no reply before the deadline"


class Exchange:
    """The server's end of the wire."""

    def __init__(self, grid: Grid, *, poll_s: float = 0.2) -> None:
        """`poll_s`: seconds between two looks for replies."""
        self._grid = grid
        self._poll_s = poll_s

    def nodes(self) -> list[int]:
        """Connected nodes, in a fixed order."""
        return sorted(self._grid.get_node_ids())

    def ask(self, nodes: Sequence[int], request: Typed, *, deadline_s: float) -> Iterator[Reply]:
        """Send `request` to all `nodes` and yield one reply a node, in the order of `nodes`.

        Replies wait in Flower's store until their turn, so one is in memory here at a time, and
        sums do not depend on who was quickest. All have the same deadline.
        """
        flat = request.to_flat()
        content = RecordDict(
            {
                "arrays": ArrayRecord({name: Array(a) for name, a in flat.arrays.items()}),
                "values": ConfigRecord(dict(flat.values)),
            }
        )
        started = time.monotonic()
        messages = [
            Message(content, node, _TYPES[request.kind], ttl=deadline_s + 60) for node in nodes
        ]
        identifiers = list(self._grid.push_messages(messages))
        del messages, content
        for node, identifier in zip(nodes, identifiers, strict=True):
            reply = self._wait(identifier, started + deadline_s)
            flat_reply, reason = _read(reply)
            del reply
            yield Reply(
                node=node, flat=flat_reply, reason=reason, seconds=time.monotonic() - started
            )

    def _wait(self, identifier: str, deadline: float) -> Message | None:
        while True:
            for reply in self._grid.pull_messages([identifier]):
                return reply
            if time.monotonic() >= deadline:
                return None
            time.sleep(self._poll_s)


def _read(reply: Message | None) -> tuple[Flat | None, str]:
    if reply is None:
        return None, "no reply before the deadline"
    if reply.has_error():
        return None, _ERRORS.get(reply.error.code, f"Flower error {reply.error.code}")
    try:
        arrays: Arrays = {
            name: array.numpy() for name, array in reply.content.array_records["arrays"].items()
        }
        values = dict(reply.content.config_records["values"])
    except (KeyError, ValueError, TypeError) as error:
        return None, f"the reply can't be read ({type(error).__name__})"
    return Flat(arrays=arrays, values=values), ""  # type: ignore[arg-type]  # judged when typed
