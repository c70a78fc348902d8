"""The ClientApp: Flower's messages to the participant's, and back."""

from pathlib import Path

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from client.participant import Participant
from irene_model.errors import ConfigError
from irene_model.protocol import EvaluateRequest, Flat, HelloRequest, TrainRequest
from irene_model.wire import STYPE, Packed

app = ClientApp()


def answer(message: Message, participant: Participant) -> Message:
    """The participant's reply to one message of the server."""
    packed = {
        name: Packed(encoding=array.dtype, shape=tuple(array.shape), data=array.data)
        for name, array in message.content.array_records["arrays"].items()
    }
    flat = Flat.unpacked(packed, dict(message.content.config_records["values"]))  # type: ignore[arg-type]
    match message.metadata.message_type:
        case "train":
            reply = participant.train(TrainRequest.from_flat(flat)).to_flat()
        case "evaluate":
            reply = participant.evaluate(EvaluateRequest.from_flat(flat)).to_flat()
        case _:
            reply = participant.hello(HelloRequest.from_flat(flat)).to_flat()
    arrays = ArrayRecord(
        {
            name: Array(each.encoding, each.shape, STYPE, each.data)
            for name, each in reply.packed().items()
        }
    )
    content = RecordDict({"arrays": arrays, "values": ConfigRecord(dict(reply.values))})
    return Message(content, reply_to=message)


def _participant(context: Context) -> Participant:
    """The site that the node was started for: `--node-config 'site="/path/site.yaml"'`.

    Any other key is refused: a seed, above all, is for simulations (`simulations.run`) only.
    """
    unknown = sorted(set(context.node_config) - {"site"})
    if unknown:
        raise ConfigError(f"--node-config: {unknown[0]}: unknown key; a node takes only `site`")
    return Participant.at(Path(str(context.node_config["site"])))


@app.query()
def hello(message: Message, context: Context) -> Message:
    """Who is there?"""
    return answer(message, _participant(context))


@app.train()
def train(message: Message, context: Context) -> Message:
    """One round of training."""
    return answer(message, _participant(context))


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Evaluation on held-out patients."""
    return answer(message, _participant(context))
