"""Flower's grid without a network: each message goes to the first process that is free.

Flower's own engine looks for messages ten times a second, copies each of them, and asks all of its
messages for every node at each look. Here a thread for each process waits for work, and a look for
a reply waits until it is there: between two messages nothing sleeps.
"""

import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass, field
from typing import Protocol

from flwr.app import Error, Message
from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

_FIRST_NODE = SUPERLINK_NODE_ID + 1
_WAIT_S = 1.0  # for a reply, before the server may look at its clock again


class Process(Protocol):
    """A process in which sites' clients run."""

    def answer(self, message: Message, site: int) -> Message:
        """The reply of the site of this number; raises where the process has died."""


@dataclass(kw_only=True)
class _Job:
    message: Message
    site: int
    reply: Future[Message] = field(default_factory=Future)


class SiteGrid(Grid):
    """`count` sites, always online, whose messages `processes` answer.

    A site's messages go to one process as long as that one has nothing else to do, which then
    still has its data; of those that wait, the one that took longest goes first.
    """

    def __init__(self, processes: Sequence[Process], *, count: int) -> None:
        # Flower stamps each message with the process's run, node and task.
        TaskIdentity.run_id = TaskIdentity.task_id = 1
        TaskIdentity.node_id = SUPERLINK_NODE_ID
        self._count = count
        self._numbered = 0
        self._replies: dict[str, Future[Message]] = {}
        self._jobs: list[_Job] = []
        self._home: dict[int, Process] = {}
        self._took: dict[int, float] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._serve, args=(process,), daemon=True)
            for process in processes
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """No message is begun any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def run(self) -> Run:
        """Nothing asks for it."""
        raise NotImplementedError

    def set_run(self, run: Run) -> None:
        """Nothing has to be known of the run."""

    def create_message(self, *args: object, **kwargs: object) -> Message:
        """Flower itself has given it up for `Message`."""
        raise NotImplementedError

    def get_node_ids(self) -> Iterable[int]:
        """Nodes are numbered in the order of their sites."""
        return range(_FIRST_NODE, _FIRST_NODE + self._count)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Have `messages` answered; their content is not copied before it is their turn."""
        identifiers = []
        with self._changed:
            for message in messages:
                self._numbered += 1
                identifier = str(self._numbered)
                message.metadata.__dict__["_message_id"] = identifier
                job = _Job(message=message, site=message.metadata.dst_node_id - _FIRST_NODE)
                self._jobs.append(job)
                self._replies[identifier] = job.reply
                identifiers.append(identifier)
            self._changed.notify_all()
        return identifiers

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """The replies that are there, at the latest after a second; each is given once."""
        replies = []
        until = time.monotonic() + _WAIT_S
        for identifier in message_ids:
            waiting = self._replies.get(identifier)
            if waiting is None:
                continue
            try:
                replies.append(waiting.result(max(0.0, until - time.monotonic())))
            except NotYet:
                continue
            del self._replies[identifier]
        return replies

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """The server's exchange sends and looks by itself."""
        raise NotImplementedError

    def _serve(self, process: Process) -> None:
        while (job := self._next_for(process)) is not None:
            started = time.monotonic()
            try:
                reply = process.answer(job.message, job.site)
            except Exception:  # what a client raises is no exception; its process has died
                crashed = Error(code=ErrorCode.CLIENT_APP_CRASHED, reason="")
                reply = Message(crashed, reply_to=job.message)
            self._took[job.site] = time.monotonic() - started
            job.reply.set_result(reply)

    def _next_for(self, process: Process) -> _Job | None:
        """What `process` does next, once there is something; None after the end."""

        def last(job: _Job) -> tuple[bool, float]:
            elsewhere = self._home.get(job.site, process) is not process
            return elsewhere, -self._took.get(job.site, 0.0)

        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._closed)
            if self._closed:
                return None
            job = min(self._jobs, key=last)
            self._jobs.remove(job)
            self._home[job.site] = process
            return job
