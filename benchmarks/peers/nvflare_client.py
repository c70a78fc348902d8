"""What a site of NVFlare runs, in the manner of its hello-dp: one PrivacyEngine for all rounds.

hello-dp asks Opacus for the noise that spends an epsilon over whole epochs; the job's noise is
given, and a round is one step.
"""

import sys
from pathlib import Path

import nvflare.client as flare
import torch
from opacus import PrivacyEngine
from torch.utils.data import DataLoader, TensorDataset

import client.private.opacus_engines  # noqa: F401  # its samplers of IRENE's own layers
from benchmarks.peers.job import Job, tell  # measured
from irene_model.study import Study
from irene_model.weights import new_model


def main(folder: Path) -> None:
    """Answer every round of the server with one step's weights."""
    job = Job.read(folder)
    model = new_model(Study.read(job.study), seed=0)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    flare.init()
    site = int(flare.system_info()["site_name"].split("-")[-1]) - 1
    tensors = torch.load(job.partition(site))
    loader = DataLoader(
        TensorDataset(*tensors.values()),
        batch_size=min(job.batch, job.records[site]),
        shuffle=True,
    )
    model.train()
    engine = PrivacyEngine()
    private, optimizer, loader = engine.make_private(
        module=model,
        optimizer=optimizer,
        data_loader=loader,
        noise_multiplier=job.noise,
        max_grad_norm=job.clip,
    )
    while flare.is_running():
        received = flare.receive()
        model.load_state_dict(
            {name: torch.as_tensor(array) for name, array in received.params.items()}
        )
        columns = next(iter(loader))
        optimizer.zero_grad()
        output = private(**dict(zip(tensors, columns, strict=True)))
        output.losses.mean().backward()
        optimizer.step()
        epsilon = engine.get_epsilon(job.delta)
        weights = model.state_dict()
        size = 2 * sum(
            array.numel() * array.element_size() for array in weights.values()
        )  # measured
        tell(round=received.current_round + 1, epsilon=float(epsilon), bytes=size)  # measured
        flare.send(flare.FLModel(params=weights, metrics={"privacy_epsilon": epsilon}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
