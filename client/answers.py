"""A site's answer to one message of the server, however it came: Flower's app and the trainer ask.

Neither Flower nor torch is imported before a message is answered.
"""

import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.gateway import coordinators_time, node_folder
from client.refusals import refusal
from irene_model.errors import ConfigError
from irene_model.exchange import EvaluateRequest, Flat, HelloRequest, TrainRequest
from irene_model.study import Packed

if TYPE_CHECKING:
    from client.participant import Participant
    from client.records import KeptDataset


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One message. kind: `train`, `evaluate`, or anything else for a greeting.

    created_at: when the server made it, in seconds of its Unix time.
    """

    kind: str
    created_at: float
    values: Mapping[str, Any] = field(repr=False)
    arrays: Mapping[str, Packed] = field(repr=False)

    @property
    def flat(self) -> Flat:
        """What travelled; a ProtocolError where bytes and shapes differ."""
        return Flat.unpacked(self.arrays, dict(self.values))


def answer(
    asked: Asked, participant: "Participant", *, now: Callable[[], float] = time.time
) -> Flat:
    """The participant's reply to `asked`.

    now: the server's time, by which the message was dated: it may have waited until the node came
    back.
    """
    flat = asked.flat
    waited_s = now() - asked.created_at
    match asked.kind:
        case "train":
            return participant.train(TrainRequest.from_flat(flat).after(waited_s)).to_flat()
        case "evaluate":
            request = EvaluateRequest.from_flat(flat).after(waited_s)
            return participant.evaluate(request).to_flat()
        case _:
            return participant.hello(HelloRequest.from_flat(flat).after(waited_s)).to_flat()


def safe_answer(asked: Asked, config: Mapping[str, Any]) -> Flat:
    """`answer` of the site that the node was started for; whatever fails is no exception.

    config: what the node was started with. An exception's text could reach the coordinator, and it
    may hold paths.
    """
    try:
        participant = _participant(config)
        folder = node_folder(participant.site)
        return answer(asked, participant, now=lambda: coordinators_time(folder))
    except Exception as error:
        return refused(asked, config, error)


def refused(asked: Asked, config: Mapping[str, Any], error: Exception) -> Flat:
    """The reply "failed" to `asked`, as far as it can be read, for `error`."""
    try:
        flat = asked.flat
    except Exception:
        flat = None
    return refusal(asked.kind, flat, site=str(config.get("name", "unknown")), error=error)


def _participant(config: Mapping[str, Any]) -> "Participant":
    """The site that the node was started for: `--node-config 'site="/path/site.yaml"'`.

    `name`, where it is given, is said where site.yaml can't be read. Any other key is refused: a
    seed, above all, is for simulations (`simulations.run`) only.
    """
    from client.participant import Participant

    unknown = sorted(set(config) - {"site", "name"})
    if unknown:
        raise ConfigError(
            f"--node-config: {unknown[0]}: unknown key; a node takes only `site` and `name`"
        )
    return replace(Participant.of_node(Path(str(config["site"]))), dataset=_kept().open)


@functools.cache
def _kept() -> "KeptDataset":
    """What this process keeps between messages."""
    from client.records import KeptDataset

    return KeptDataset()
