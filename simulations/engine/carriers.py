"""Many sites over a few nodes of Flower's engine, which looks at each node for each message.

Ten times a second the engine compares every message that lies in its store with every node: with a
thousand of both that is more work than training. So the server's grid has a node for each site,
and the engine's has a few *carriers*, each of which carries one message at a time: the site's
number travels in the message's group. What waits for a carrier waits here.

Where all messages of a round can be carried at once, those of the sites that took longest leave
first, so that no process ends long after the others. Elsewhere they leave as they were sent: who
waits for replies in that order would hold all that came before their turn.
"""

import heapq
from collections.abc import Iterable
from uuid import uuid4

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.run import Run

from simulations.engine.delivery import Delivery

_LOOK_S = 0.02


class Carriers(Grid):
    """The server's end: a grid of `sites` nodes, numbered from 1, over those of another grid."""

    def __init__(self, grid: Grid, *, sites: int, carriers: int, delivery: Delivery) -> None:
        """`carriers`: the nodes that `grid` will have. `delivery`: of the engine behind it."""
        self._grid = grid
        self._sites = sites
        self._delivery = delivery
        self._expected, self._known = carriers, set[int]()
        self._free: list[int] = []  # a heap: the engine takes of the lowest number first
        self._took: dict[int, float] = {}  # site's number -> its own seconds, the last time
        self._waiting: dict[str, Message] = {}
        self._carried: dict[str, tuple[str, int]] = {}  # the engine's id -> ours, and the carrier
        self._replies: dict[str, Message] = {}

    def set_run(self, run: Run) -> None:
        """As Flower's."""
        self._grid.set_run(run)

    @property
    def run(self) -> Run:
        """As Flower's."""
        return self._grid.run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """As Flower's."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """One node a site."""
        return range(1, self._sites + 1)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Take messages to sites; they leave as carriers come free."""
        identifiers = []
        for message in messages:
            message.metadata.group_id = str(message.metadata.dst_node_id - 1)
            identifiers.append(uuid4().hex)
            self._waiting[identifiers[-1]] = message
        if self._sites <= self._expected:
            longest_first = sorted(
                self._waiting.items(), key=lambda each: -self._took.get(site_of(each[1]), 0.0)
            )
            self._waiting = dict(longest_first)
        self._carry()
        return identifiers

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """The replies to these messages that are there, or come in a moment; each once."""
        wanted = list(message_ids)
        if not self._replies.keys() & wanted:
            self._look()
        return [self._replies.pop(each) for each in wanted if each in self._replies]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Not for a round, which looks for one reply at a time."""
        raise NotImplementedError

    def _look(self) -> None:
        """Take what the engine has, once a reply came or the engine may be asked anyway."""
        self._delivery.wait_for_reply(_LOOK_S)
        for reply in self._grid.pull_messages(list(self._carried)):
            identifier, carrier = self._carried.pop(reply.metadata.reply_to_message_id)
            self._replies[identifier] = reply
            self._note_time(reply)
            heapq.heappush(self._free, carrier)
        self._carry()

    def _note_time(self, reply: Message) -> None:
        """Keep what the site says of its time in training; other replies and errors say nothing."""
        values = reply.content.config_records.get("values") if reply.has_content() else None
        match None if values is None else values.get("seconds"):
            case float(seconds) if seconds > 0:
                self._took[site_of(reply)] = seconds

    def _find_carriers(self) -> None:
        """Those that have come: the engine starts while the server does."""
        new = set(self._grid.get_node_ids()) - self._known
        self._known.update(new)
        for each in new:
            heapq.heappush(self._free, each)

    def _carry(self) -> None:
        """Give free carriers what waits; what has expired meanwhile is not sent any more."""
        if len(self._known) < self._expected:
            self._find_carriers()
        while self._free and self._waiting:
            identifier = next(iter(self._waiting))
            message = self._waiting.pop(identifier)
            message.metadata.dst_node_id = self._free[0]
            for engines in self._grid.push_messages([message]):
                self._carried[engines] = (identifier, heapq.heappop(self._free))
            self._delivery.pushed()


def site_of(message: Message) -> int:
    """Which of the sites a message is for, from 0: the client's end."""
    return int(message.metadata.group_id)
