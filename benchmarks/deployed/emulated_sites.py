"""A grid at whose other end many sites answer: for measuring the server and nothing else."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from irene_model.exchange import Arrays, EvaluateReply, HelloReply, TrainReply
from irene_model.exchange import Message as Typed
from irene_model.study import STYPE, Study
from irene_model.weights import new_model, to_arrays

PATIENTS, STEP = 1000, 128  # as many as a study expects in a step by default


class EmulatedSites(Grid):
    """`count` sites that answer each message as soon as they are asked for the answer.

    As with Flower's own grid, what was sent is not held here, and a reply is a copy of its own: an
    update is read from disk when it is pulled. `plain` replies are those that FedAvg reads.
    """

    def __init__(self, study: Study, *, count: int, folder: Path, plain: bool) -> None:
        self._count, self._plain = count, plain
        # Flower stamps each message with the process's run, node and task.
        TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 0, 1
        self._sent: dict[str, Message] = {}
        rng = np.random.default_rng(0)
        self._updates: dict[str, Path] = {}
        for name, array in to_arrays(new_model(study, seed=0)).items():
            self._updates[name] = folder / f"{len(self._updates)}.npy"
            noise = rng.standard_normal(array.shape, np.float32)
            np.save(self._updates[name], np.float32(1e-4) * noise)

    @property
    def run(self) -> Run:
        """Nothing asks for it."""
        raise NotImplementedError

    def set_run(self, run: Run) -> None:
        """Nothing has to be known of the run."""

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """A message to a node."""
        return Message(content, dst_node_id, message_type, group_id=group_id, ttl=ttl)

    def get_node_ids(self) -> Iterable[int]:
        """Nodes count from 1."""
        return range(1, self._count + 1)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Keep what a site needs to answer: the values without the arrays."""
        identifiers = []
        for message in messages:
            records = message.content.config_records
            values = RecordDict({"values": records["values"]} if "values" in records else {})
            node, kind = message.metadata.dst_node_id, message.metadata.message_type
            identifiers.append(str(len(self._sent)))
            self._sent[identifiers[-1]] = Message(values, node, kind)
        return identifiers

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """The answers to the messages."""
        return [self._answer(self._sent[identifier]) for identifier in message_ids]

    def send_and_receive(
        self,
        messages: Iterable[Message],
        *,
        timeout: float | None = None,  # noqa: ARG002  # Flower's own name
    ) -> Iterable[Message]:
        """All answers at once, as Flower's grid gives them."""
        return self.pull_messages(self.push_messages(messages))

    def _answer(self, request: Message) -> Message:
        if self._plain:
            arrays = {name: Array(array) for name, array in self._update().items()}
            metrics = MetricRecord({"num-examples": PATIENTS})
            content = RecordDict({"arrays": ArrayRecord(arrays), "metrics": metrics})
            return Message(content, reply_to=request)
        flat = self._typed(request).to_flat()
        packed = {
            name: Array(each.encoding, each.shape, STYPE, each.data)
            for name, each in flat.packed().items()
        }
        values = ConfigRecord(dict(flat.values))
        return Message(
            RecordDict({"arrays": ArrayRecord(packed), "values": values}), reply_to=request
        )

    def _typed(self, request: Message) -> Typed:
        site = f"site-{request.metadata.dst_node_id:03d}"
        values = request.content.config_records["values"]
        match request.metadata.message_type:
            case "train":
                return TrainReply(
                    arrays=self._update(),
                    modalities="image,text,age,sex",
                    labels="11",
                    site=site,
                    round=int(values["round"]),  # type: ignore[arg-type]
                    fingerprint=str(values["fingerprint"]),
                    outcome="updated",
                    weight=PATIENTS,
                    noise_multiplier=1.0,
                    sample_rate=STEP / PATIENTS,
                    rounds_charged=int(values["round"]),  # type: ignore[arg-type]
                )
            case "evaluate":
                round = int(values["round"])  # type: ignore[arg-type]
                return EvaluateReply(
                    site=site,
                    round=round,
                    fingerprint=str(values["fingerprint"]),
                    outcome="declined",
                    reason="none here",
                )
            case _:
                return HelloReply(site=site, outcome="ready")

    def _update(self) -> Arrays:
        return {name: np.load(path) for name, path in self._updates.items()}
