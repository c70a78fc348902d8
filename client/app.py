"""The ClientApp: Flower's messages to the participant's, and back.

A simulation calls `answer`. A node's SuperExec reads and writes Flower's messages with `asked_by`
and `message_of`, and its trainer answers; the app itself answers in the process that loads it.
"""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from client import answers
from client.answers import Asked
from client.refusals import refusal
from irene_model.exchange import Plain
from irene_model.study import STYPE, Packed

if TYPE_CHECKING:
    from client.participant import Participant

app = ClientApp()


def asked_by(message: Message) -> Asked:
    """What the server asks in `message`; KeyError where it lacks a part."""
    packed = {
        name: Packed(encoding=array.dtype, shape=tuple(array.shape), data=array.data)
        for name, array in message.content.array_records["arrays"].items()
    }
    return Asked(
        kind=message.metadata.message_type,
        created_at=message.metadata.created_at,
        values=dict(message.content.config_records["values"]),
        arrays=packed,
    )


def message_of(
    values: Mapping[str, Plain], arrays: Mapping[str, Packed], request: Message
) -> Message:
    """The reply of `values` and `arrays` to `request`."""
    packed = {
        name: Array(each.encoding, each.shape, STYPE, each.data) for name, each in arrays.items()
    }
    content = RecordDict({"arrays": ArrayRecord(packed), "values": ConfigRecord(dict(values))})
    return Message(content, reply_to=request)


def answer(
    message: Message, participant: "Participant", *, now: Callable[[], float] = time.time
) -> Message:
    """The participant's reply to one message of the server; see `client.answers.answer`."""
    reply = answers.answer(asked_by(message), participant, now=now)
    return message_of(reply.values, reply.packed(), message)


def safe_answer(message: Message, context: Context) -> Message:
    """`client.answers.safe_answer` to one message of the server, of whatever form it is."""
    try:
        asked = asked_by(message)
    except Exception as error:
        name = str(context.node_config.get("name", "unknown"))
        reply = refusal(message.metadata.message_type, None, site=name, error=error)
    else:
        reply = answers.safe_answer(asked, context.node_config)
    return message_of(reply.values, reply.packed(), message)


@app.query()
def hello(message: Message, context: Context) -> Message:
    """Who is there?"""
    return safe_answer(message, context)


@app.train()
def train(message: Message, context: Context) -> Message:
    """One round of training."""
    return safe_answer(message, context)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Evaluation on held-out patients."""
    return safe_answer(message, context)
