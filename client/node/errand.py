"""One message of the server: pulled from the SuperNode, answered by the trainer, its reply pushed.

This is what Flower's own `flwr-clientapp` does, but that nothing is unpacked, imported or run of
what the server shipped. It leans on Flower's internals. Where they are not as they were when this
was written, nothing runs at all.
"""

import contextlib
import importlib
import inspect
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from types import ModuleType
from typing import TYPE_CHECKING, Any

from client.gateway import coordinators_time
from client.node.launch import another_flower
from client.refusals import refusal
from client.trainer import OldCode, Parcel, TrainerLost, hand_over, patience_s

if TYPE_CHECKING:
    from flwr.app import Context, Message
    from flwr.supercore.runtime import RuntimeHttpClient

_RUNTIME = "flwr.supernode.runtime.run_clientapp"
USED = {
    "pull_task_input": ["client"],
    "push_message": ["client", "message", "context"],
    "push_task_output": ["client", "context", "sub_status", "details"],
}
"""Flower's functions that are called, with their parameters."""
_BEAT_S = 20.0  # Flower gives a task up after 60
_log = logging.getLogger(__name__)


def check_flower() -> ModuleType:
    """Flower's module that answers a message, if it is as we know it; IreneError otherwise."""
    runtime = importlib.import_module(_RUNTIME)
    for name, parameters in USED.items():
        function = getattr(runtime, name, None)
        if not callable(function) or list(inspect.signature(function).parameters) != parameters:
            raise another_flower(name)
    return runtime


@dataclass(frozen=True, kw_only=True)
class Errand:
    """folder: the node's. runtime: the SuperNode's address on loopback, with the task's token.

    pulled: the message is here. given_up: what of it is not here will not come.
    """

    folder: Path
    runtime: str
    token: str = field(repr=False)
    insecure: bool
    root_certificates: str | None
    pulled: Event = field(default_factory=Event, repr=False)
    given_up: Event = field(default_factory=Event, repr=False)

    def run(self) -> None:
        """Answer the message. What fails on the way is answered too, without its text.

        Raises OldCode, after the reply, where this process runs other code than is installed.
        """
        flower, client = check_flower(), self._connected()
        with contextlib.closing(client), _alive(client):
            self._answer(flower, client)

    def _answer(self, flower: ModuleType, client: "RuntimeHttpClient") -> None:
        context, old = None, None
        status, details = "failed", "the message was not answered"
        try:
            message, context, *_ = flower.pull_task_input(_Pulling(client, self.given_up))
            self.pulled.set()
            try:
                reply = self._reply(message, context)
            except Exception as error:
                old = error if isinstance(error, OldCode) else None
                reply = _refused(message, context, error)
            flower.push_message(client, reply, context)
            status, details = "completed", ""
        finally:
            flower.push_task_output(client, context, status, details)
        if old is not None:
            raise old

    def _reply(self, message: "Message", context: "Context") -> "Message":
        """The trainer's."""
        from client.app import asked_by, message_of

        asked = asked_by(message)
        waited_s = coordinators_time(self.folder) - asked.created_at
        facts: dict[str, Any] = {
            "kind": asked.kind,
            "created_at": asked.created_at,
            "waited_s": waited_s,
            "values": asked.values,
            "config": dict(context.node_config),
        }
        question = Parcel(facts=facts, arrays=asked.arrays)
        patience = patience_s(asked.kind, asked.values.get("deadline"), waited_s)
        answer = hand_over(self.folder, question, patience_s=patience)
        values = answer.facts.get("values")
        if not isinstance(values, dict):
            raise TrainerLost("the trainer's answer is none")
        return message_of(values, answer.arrays, message)

    def _connected(self) -> "RuntimeHttpClient":
        """As Flower's program is, with the task's token."""
        from flwr.supercore.interceptors import (
            RuntimeTokenHttpInterceptor,
            RuntimeVersionHttpInterceptor,
        )
        from flwr.supercore.retry import make_simple_http_retry_invoker
        from flwr.supercore.runtime import RuntimeHttpClient
        from flwr.supercore.tls import validate_and_resolve_root_certificates

        return RuntimeHttpClient.from_server_address(
            server_address=self.runtime,
            insecure=self.insecure,
            root_certificates=validate_and_resolve_root_certificates(
                self.root_certificates, self.insecure
            ),
            interceptors=[
                RuntimeVersionHttpInterceptor(component_name="flwr-clientapp"),
                RuntimeTokenHttpInterceptor(self.token),
            ],
            retry_invoker=make_simple_http_retry_invoker(),
        )


class _Pulling:
    """The SuperNode, as long as what is asked of it can still come.

    Flower asks for an object that is not there for ever; and it has begun a task for a message
    whose run ends while it receives it, whose objects nobody brings.
    """

    def __init__(self, client: "RuntimeHttpClient", given_up: Event) -> None:
        self._client, self._given_up = client, given_up

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def PullObject(self, request: Any) -> Any:  # noqa: N802  # Flower's name
        """One object; TrainerLost where it has been given up."""
        if self._given_up.is_set():
            raise TrainerLost("the message's run ended while it was received")
        return self._client.PullObject(request)


@contextlib.contextmanager
def _alive(client: "RuntimeHttpClient") -> Iterator[None]:
    """Signs of life for the task, from a thread that nobody waits for.

    Flower's own would end this process where the task is gone; here the next one is to be taken.
    """
    from flwr.proto.runtime_pb2 import SendTaskHeartbeatRequest

    over = Event()

    def beat() -> None:
        while not over.is_set():
            try:
                client.SendTaskHeartbeat(SendTaskHeartbeatRequest())
            except Exception:
                _log.debug("no sign of life could be given", exc_info=True)
            over.wait(_BEAT_S)

    Thread(target=beat, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _refused(message: "Message", context: "Context", error: Exception) -> "Message":
    from client.app import asked_by, message_of

    try:
        flat = asked_by(message).flat
    except Exception:
        flat = None
    kind, site = message.metadata.message_type, str(context.node_config.get("name", "unknown"))
    reply = refusal(kind, flat, site=site, error=error)
    return message_of(reply.values, reply.packed(), message)
