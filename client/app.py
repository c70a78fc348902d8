"""The ClientApp: Flower's messages to the participant's, and back."""

import logging
from pathlib import Path

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from client.participant import Participant
from client.refusals import refusal
from irene_model.errors import ConfigError, IreneError
from irene_model.exchange import EvaluateRequest, Flat, HelloRequest, TrainRequest
from irene_model.study import STYPE, Packed

_log = logging.getLogger(__name__)
app = ClientApp()


def answer(message: Message, participant: Participant) -> Message:
    """The participant's reply to one message of the server."""
    flat = _flat(message)
    match message.metadata.message_type:
        case "train":
            reply = participant.train(TrainRequest.from_flat(flat)).to_flat()
        case "evaluate":
            reply = participant.evaluate(EvaluateRequest.from_flat(flat)).to_flat()
        case _:
            reply = participant.hello(HelloRequest.from_flat(flat)).to_flat()
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
        return answer(message, _participant(context))
    except Exception as error:
        if isinstance(error, IreneError):
            _log.error("%s", error)
        else:
            _log.exception("unexpected error")
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
