"""One message of the server: pulled from the SuperNode, answered by the trainer, its reply pushed.

This is what Flower's own `flwr-clientapp` does, but that nothing is unpacked, imported or run of
what the server shipped. It leans on Flower's internals. Where they are not as they were when this
was written, nothing runs at all.
"""

import importlib
import inspect
import logging
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from client.gateway import coordinators_time
from client.node.launch import another_flower
from client.refusals import refusal
from client.trainer import OldCode, Parcel, TrainerLost, hand_over, patience_s

if TYPE_CHECKING:
    from flwr.app import Context, Message
    from flwr.supercore.heartbeat import HeartbeatSender
    from flwr.supercore.runtime import RuntimeHttpClient

_RUNTIME = "flwr.supernode.runtime.run_clientapp"
USED = {
    "pull_task_input": ["client"],
    "push_message": ["client", "message", "context"],
    "push_task_output": ["client", "context", "sub_status", "details"],
}
"""Flower's functions that are called, with their parameters."""
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
    """folder: the node's. runtime: the SuperNode's address on loopback, with the task's token."""

    folder: Path
    runtime: str
    token: str = field(repr=False)
    insecure: bool
    root_certificates: str | None

    def run(self) -> None:
        """Answer the message. What fails on the way is answered too, without its text.

        Raises OldCode, after the reply, where this process runs other code than is installed.
        """
        flower = check_flower()
        client, beats = self._connected()
        context, done, old = None, False, None
        beats.start()
        try:
            message, context, *_ = flower.pull_task_input(client)
            try:
                reply = self._reply(message, context)
            except OldCode as error:
                old, reply = error, _refused(message, context, error)
            except Exception as error:
                reply = _refused(message, context, error)
            flower.push_message(client, reply, context)
            done = True
        finally:
            status, details = ("completed", "") if done else ("failed", "the message was not read")
            try:
                flower.push_task_output(client, context, status, details)
            finally:
                beats.stop()
                client.close()
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

    def _connected(self) -> "tuple[RuntimeHttpClient, HeartbeatSender]":
        """As Flower's program is: with the token, and signs of life for the task."""
        import httpx
        from flwr.proto.runtime_pb2 import SendTaskHeartbeatRequest
        from flwr.supercore.heartbeat import HeartbeatSender
        from flwr.supercore.interceptors import (
            RuntimeTokenHttpInterceptor,
            RuntimeVersionHttpInterceptor,
        )
        from flwr.supercore.retry import make_simple_http_retry_invoker
        from flwr.supercore.runtime import RuntimeHttpClient
        from flwr.supercore.tls import validate_and_resolve_root_certificates

        client = RuntimeHttpClient.from_server_address(
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

        def beat() -> bool:
            """Flower's own ends the process where the task is gone; the next one is to be taken."""
            try:
                client.SendTaskHeartbeat(SendTaskHeartbeatRequest())
            except httpx.HTTPError:
                return False
            return True

        return client, HeartbeatSender(beat)


def _refused(message: "Message", context: "Context", error: Exception) -> "Message":
    from client.app import asked_by, message_of

    try:
        flat = asked_by(message).flat
    except Exception:
        flat = None
    kind, site = message.metadata.message_type, str(context.node_config.get("name", "unknown"))
    reply = refusal(kind, flat, site=site, error=error)
    return message_of(reply.values, reply.packed(), message)
