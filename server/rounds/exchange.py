"""Messages to the sites over Flower's grid, and their replies, one in memory at a time.

A reply waits in Flower's store until it is looked for, also when it comes late. A node that is
offline is not looked at: asked for its reply, Flower would answer with an error and throw the
message away, and a network that was cut for a minute would cost the update.
"""

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from httpx import HTTPStatusError

from irene_model.errors import ProtocolError
from irene_model.exchange import Flat, Request
from irene_model.study import STYPE, Packed
from server.rounds.looks import Looks

_log = logging.getLogger(__name__)
_UNREADABLE = (LookupError, TypeError, ValueError, AttributeError, RecursionError, DecodeError)
_TYPES = {"hello": "query", "train": "train", "evaluate": "evaluate"}
# Flower's own codes; its reasons may hold a site's exception text and stay out of our records.
_ERRORS = {
    3: "the message expired before a reply came",
    4: "the reply expired before it was looked for",
    5: "the node went away",
    8: "the client process crashed",
}
_MADE_HERE = (3, 4, 5)  # errors that the SuperLink makes by itself: no sign of life of the node
_GONE_S = 120.0  # an offline node may come back for so long; SuperNodes are seen every 30 s
_LEAST_S = 0.001  # a deadline is some time, even where there is none left
_PAUSE_S = 0.1  # between two looks for a reply, at least
_LOOK_S = 1.0  # between two looks at which nodes are online
NO_REPLY = "no reply in the time that the site has"


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A message to `node`, sent at `time`, which is time.monotonic(), and maybe once more since.

    kind: of the request, which the time that it takes depends on.
    """

    identifiers: tuple[str, ...]
    node: int
    kind: str
    time: float


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What came back for `sent`: `flat`, or nothing and the `reason` why.

    seconds: from sending until the reply was found here. bytes: of its arrays. lost: no reply
    will come any more. malformed: one came that is none. heard: the site itself sent something.
    """

    sent: Sent
    flat: Flat | None
    reason: str
    seconds: float
    bytes: int = 0
    lost: bool = False
    malformed: bool = False
    heard: bool = False

    @property
    def node(self) -> int:
        """Whose reply it is."""
        return self.sent.node

    @property
    def missing(self) -> bool:
        """Nothing has come back yet, and may come late."""
        return self.flat is None and not self.lost


class Exchange:
    """The server's end of the wire."""

    def __init__(self, grid: Grid, *, looks: Looks | None = None) -> None:
        """`looks`: when to look for replies; None suits a SuperLink."""
        self._grid = grid
        self._looks = Looks(least_s=_PAUSE_S) if looks is None else looks
        self._online: frozenset[int] = frozenset()
        self._looked = -_LOOK_S
        self._offline_since: dict[int, float] = {}

    def nodes(self) -> list[int]:
        """Connected nodes, in a fixed order."""
        return sorted(self._look(now=True))

    def send(
        self,
        request: Request,
        patience_s: Mapping[int, float],
        *,
        keep_s: float = 60.0,
        charged: Mapping[int, int] | None = None,
    ) -> list[Sent]:
        """Send `request` to the nodes of `patience_s`, each with a deadline of so many seconds.

        A reply that comes later is kept for another `keep_s` seconds. charged: node -> its own
        `rounds_charged` of a TrainRequest.
        """
        flat = request.to_flat()
        arrays = ArrayRecord(
            {
                name: Array(each.encoding, each.shape, STYPE, each.data)
                for name, each in flat.packed().items()
            }
        )
        own = {node: {"rounds_charged": rounds} for node, rounds in (charged or {}).items()}
        messages = [
            Message(
                RecordDict(
                    {
                        "arrays": arrays,
                        "values": ConfigRecord(
                            {
                                **flat.values,
                                **own.get(node, {}),
                                "deadline": max(float(patience), _LEAST_S),
                            }
                        ),
                    }
                ),
                node,
                _TYPES[request.kind],
                ttl=patience + keep_s,
            )
            for node, patience in patience_s.items()
        ]
        started = time.monotonic()
        identifiers = list(self._grid.push_messages(messages)) if messages else []
        return [
            Sent(identifiers=(identifier,), node=node, kind=request.kind, time=started)
            for node, identifier in zip(patience_s, identifiers, strict=True)
        ]

    def send_again(
        self, sent: Sent, request: Request, patience_s: float, *, keep_s: float = 60.0
    ) -> Sent:
        """Send `request` once more, with the time that is left; a reply to either will do.

        A node that loses its connection while it receives a message never sees it again.
        """
        left = patience_s - (time.monotonic() - sent.time)
        (again,) = self.send(request, {sent.node: left}, keep_s=keep_s)
        return replace(sent, identifiers=(*sent.identifiers, *again.identifiers))

    def ask(self, request: Request, patience_s: Mapping[int, float]) -> Iterator[Reply]:
        """Send `request` and yield one reply a node, in the order of `patience_s`.

        Replies wait in Flower's store until their turn, so one is in memory here at a time, and
        sums do not depend on who was quickest.
        """
        for sent in self.send(request, patience_s):
            yield self.wait(sent, patience_s[sent.node])

    def wait(self, sent: Sent, patience_s: float) -> Reply:
        """The reply to `sent`, at the latest `patience_s` seconds after it was sent."""
        while True:
            reply = self.poll(sent)
            if reply is not None:
                if reply.heard:
                    self._looks.found(sent.node, sent.kind, reply.seconds)
                return reply
            seconds = time.monotonic() - sent.time
            if seconds >= patience_s:
                return Reply(sent=sent, flat=None, reason=NO_REPLY, seconds=seconds)
            gone_s = self._offline_s(sent.node)
            if gone_s > _GONE_S:
                return Reply(sent=sent, flat=None, reason=_ERRORS[5], seconds=seconds)
            pause_s = self._looks.pause_s(sent.node, sent.kind, seconds)
            time.sleep(min(pause_s, max(0.0, patience_s - seconds)))

    def poll(self, sent: Sent) -> Reply | None:
        """The reply to `sent` if it is there."""
        if sent.node not in self._look():
            return None
        for message in self._pulled(sent):
            seconds = time.monotonic() - sent.time
            if isinstance(message, str):
                return Reply(
                    sent=sent, flat=None, reason=message, seconds=seconds, lost=True, malformed=True
                )
            if message.has_error():
                code = message.error.code
                reason = _ERRORS.get(code, f"Flower error {code}")
                heard = code not in _MADE_HERE
                return Reply(
                    sent=sent, flat=None, reason=reason, seconds=seconds, lost=True, heard=heard
                )
            return _read(message, sent, seconds)
        return None

    def _pulled(self, sent: Sent) -> Iterator[Message | str]:
        """What there is for `sent`; the reason alone of what Flower can't read of a node's bytes.

        Flower has thrown such a reply away before it reads it, so that none other will come.
        """
        for identifier in sent.identifiers:
            try:
                with _patience():
                    yield from self._grid.pull_messages([identifier])
            except _UNREADABLE as error:
                yield f"the reply can't be read ({type(error).__name__})"

    def _look(self, *, now: bool = False) -> frozenset[int]:
        """The nodes that are online, as they were a moment ago."""
        moment = time.monotonic()
        if now or moment - self._looked >= _LOOK_S:
            with _patience():
                self._online, self._looked = frozenset(self._grid.get_node_ids()), moment
        return self._online

    def _offline_s(self, node: int) -> float:
        if node in self._look():
            self._offline_since.pop(node, None)
            return 0.0
        return time.monotonic() - self._offline_since.setdefault(node, time.monotonic())


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    """A SuperLink that fails at one look, as where its database is locked, is looked at again.

    What it threw away meanwhile is overdue one day, and asked for again.
    """
    try:
        yield
    except HTTPStatusError as error:
        if error.response.status_code < 500:
            raise
        _log.warning("the SuperLink answers %d; looking again", error.response.status_code)


def _read(message: Message, sent: Sent, seconds: float) -> Reply:
    """The reply, whose bytes are judged before anything of their declared size is allocated."""
    flat, reason, size = None, "", 0
    try:
        packed = {
            name: Packed(encoding=array.dtype, shape=tuple(array.shape), data=array.data)
            for name, array in message.content.array_records["arrays"].items()
        }
        size = sum(len(each.data) for each in packed.values())
        values = dict(message.content.config_records["values"])
        flat = Flat.unpacked(packed, values)  # type: ignore[arg-type]  # judged when typed
    except ProtocolError as error:
        reason = str(error)
    except (KeyError, ValueError, TypeError) as error:
        reason = f"the reply can't be read ({type(error).__name__})"
    return Reply(
        sent=sent, flat=flat, reason=reason, seconds=seconds, bytes=size,
        lost=flat is None, malformed=flat is None, heard=True,
    )  # fmt: skip
