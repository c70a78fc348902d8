"""The ClientApp: Flower's messages to the participant's, and back."""

import time
from collections.abc import Callable
from pathlib import Path

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from client.gateway import coordinators_time, node_folder
from client.participant import Participant
from client.refusals import refusal
from irene_model.errors import ConfigError
from irene_model.exchange import EvaluateRequest, Flat, HelloRequest, TrainRequest
from irene_model.study import STYPE, Packed

app = ClientApp()


def answer(
    message: Message, participant: Participant, *, now: Callable[[], float] = time.time
) -> Message:
    """The participant's reply to one message of the server.

    now: the server's time, by which the message was dated: it may have waited until the node came
    back.
    """
    flat = _flat(message)
    waited_s = now() - message.metadata.created_at
    match message.metadata.message_type:
        case "train":
            reply = participant.train(TrainRequest.from_flat(flat).after(waited_s)).to_flat()
        case "evaluate":
            request = EvaluateRequest.from_flat(flat).after(waited_s)
            reply = participant.evaluate(request).to_flat()
        case _:
            reply = participant.hello(HelloRequest.from_flat(flat).after(waited_s)).to_flat()
    return _message(reply, message)


def _flat(message: Message) -> Flat:
    packed = {
        name: Packed(encoding=array.dtype, shape=tuple(array.shape), data=array.data)
        for name, array in message.content.array_records["arrays"].items()
    }
    return Flat.unpacked(packed, dict(message.content.config_records["values"]))  # type: ignore[arg-type]


def _message(reply: Flat, request: Message) -> Message:
    arrays = ArrayRecord(
        {
            name: Array(each.encoding, each.shape, STYPE, each.data)
            for name, each in reply.packed().items()
        }
    )
    content = RecordDict({"arrays": arrays, "values": ConfigRecord(dict(reply.values))})
    return Message(content, reply_to=request)


def safe_answer(message: Message, context: Context) -> Message:
    """`answer` of the site that the node was started for; whatever fails is no exception.

    Flower sends an exception's text to the coordinator, and it may hold paths.
    """
    try:
        participant = _participant(context)
        folder = node_folder(participant.site)
        return answer(message, participant, now=lambda: coordinators_time(folder))
    except Exception as error:
        name = str(context.node_config.get("name", "unknown"))
        try:
            request = _flat(message)
        except Exception:
            request = None
        kind = message.metadata.message_type
        return _message(refusal(kind, request, site=name, error=error), message)


def _participant(context: Context) -> Participant:
    """The site that the node was started for: `--node-config 'site="/path/site.yaml"'`.

    `name`, where it is given, is said where site.yaml can't be read. Any other key is refused: a
    seed, above all, is for simulations (`simulations.run`) only.
    """
    unknown = sorted(set(context.node_config) - {"site", "name"})
    if unknown:
        raise ConfigError(
            f"--node-config: {unknown[0]}: unknown key; a node takes only `site` and `name`"
        )
    return Participant.of_node(Path(str(context.node_config["site"])))


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
