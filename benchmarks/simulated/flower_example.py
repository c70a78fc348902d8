"""The job of a simulated round as Flower's example of Opacus does it, for a comparison.

After the example `opacus` of Flower's repository, in our words: each message loads its partition,
builds model, optimizer and data loader, wraps them by a fresh `PrivacyEngine`, trains, asks the
engine for epsilon, and sends all weights; FedAvg averages them, on Flower's simulation engine. The
arrays, IRENE, the clipping norm and the noise are the benchmark's, and so is a step a round.
"""

import itertools
import logging
import resource
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from torch.utils.data import DataLoader, TensorDataset

from client.records import SiteDataset
from irene_model.study import Study
from irene_model.weights import new_model


def save_partition(dataset: SiteDataset, path: Path) -> None:
    """A site's training records, ready for the model, one a patient."""
    rows = torch.tensor([rows[0] for rows in dataset.patients["train"]]).numpy()
    torch.save(dataset.batch(rows), path)


def client_app(study: Study, partitions: Sequence[Path], *, batch: int, noise: float) -> ClientApp:
    """One step of training for each message; it tells its process's peak memory too."""
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        warnings.simplefilter("ignore")
        from opacus import PrivacyEngine

        import client.private.opacus_engines  # noqa: F401  # its samplers of our own layers

        torch.set_num_threads(1)
        tensors = torch.load(partitions[int(context.node_config["partition-id"])], mmap=True)
        names = list(tensors)
        model = new_model(study, seed=0)
        model.load_state_dict(message.content.array_records["arrays"].to_torch_state_dict())
        model.train()
        records = TensorDataset(*(tensors[name] for name in names))
        engine = PrivacyEngine(secure_mode=False)
        private, optimizer, loader = engine.make_private(
            module=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=1.0),
            data_loader=DataLoader(records, batch_size=min(batch, len(records)), shuffle=True),
            noise_multiplier=noise,
            max_grad_norm=study.privacy.clip_norm,
        )
        for columns in itertools.islice(loader, 1):
            optimizer.zero_grad()
            output = private(**dict(zip(names, columns, strict=True)))
            output.losses.mean().backward()
            optimizer.step()
        epsilon = engine.get_epsilon(delta=study.privacy.delta)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # measured
        received = message.content.array_records["arrays"].count_bytes()  # measured
        arrays = ArrayRecord(private._module.state_dict())
        metrics = MetricRecord(
            {
                "num-examples": len(records),
                "epsilon": float(epsilon),
                "peak": peak,  # measured
                "bytes": received + arrays.count_bytes(),  # measured
            }
        )
        content = RecordDict({"arrays": arrays, "metrics": metrics})
        return Message(content, reply_to=message)

    return app


def run(
    study: Study,
    partitions: Sequence[Path],
    *,
    batch: int,
    noise: float,
    rounds: int,
    parallel: int,
    observe: Callable[[int, int, float, int], None],
) -> None:
    """All rounds; `observe` hears after each its number, a process's peak memory in KiB, the
    largest epsilon that a site printed in it, and the bytes of a site's weights, both ways.
    """
    from flwr.simulation import run_simulation

    logging.getLogger("flwr").setLevel(logging.ERROR)
    server = ServerApp()
    largest = {"peak": 0.0, "epsilon": 0.0, "bytes": 0.0}

    def aggregate(replies: list[RecordDict], weighted_by: str) -> MetricRecord:  # measured
        told = [reply.metric_records["metrics"] for reply in replies]  # measured
        for name, most in largest.items():  # measured
            largest[name] = max(most, *(float(each[name]) for each in told))  # type: ignore[arg-type]  # measured
        return MetricRecord({weighted_by: 0})  # measured

    def after(round: int, _arrays: ArrayRecord) -> MetricRecord:  # measured
        observe(round, int(largest["peak"]), largest["epsilon"], int(largest["bytes"]))  # measured
        return MetricRecord({})  # measured

    @server.main()
    def _main(grid: Grid, _context: Context) -> None:
        strategy = FedAvg(
            fraction_evaluate=0.0,
            min_available_nodes=len(partitions),
            train_metrics_aggr_fn=aggregate,
        )
        first = ArrayRecord(new_model(study, seed=0).state_dict())
        strategy.start(
            grid, first, num_rounds=rounds, train_config=ConfigRecord({}), evaluate_fn=after
        )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run_simulation(
            server_app=server,
            client_app=client_app(study, partitions, batch=batch, noise=noise),
            num_supernodes=len(partitions),
            backend_config={
                "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
                "init_args": {
                    "num_cpus": parallel,
                    "include_dashboard": False,
                    "_node_ip_address": "127.0.0.1",
                    "log_to_driver": False,
                    "logging_level": logging.ERROR,
                },
            },
        )
