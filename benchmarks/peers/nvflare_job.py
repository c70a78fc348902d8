"""What a coordinator of NVFlare writes, in the manner of its hello-dp: FedAvg on its simulator."""

import sys
from pathlib import Path

import torch
from nvflare.app_opt.pt.recipes.fedavg import FedAvgRecipe
from nvflare.recipe import SimEnv

from benchmarks.peers.job import Job
from irene_model.network import IreneModel
from irene_model.study import Study
from irene_model.weights import config_of, new_model


class JobModel(IreneModel):
    """IRENE with the sizes of the job in `folder`, built by its name; weights come from a file."""

    def __init__(self, folder: str) -> None:
        super().__init__(config_of(Study.read(Job.read(Path(folder)).study)))


def main(folder: Path) -> None:
    """All rounds, a process a site: with fewer each task would get a new one, whose PrivacyEngine
    knows nothing of the rounds before.
    """
    job = Job.read(folder)
    first = folder / "first.pt"
    torch.save({"model": new_model(Study.read(job.study), seed=0).state_dict()}, first)
    recipe = FedAvgRecipe(
        name="peer",
        model={
            "class_path": "benchmarks.peers.nvflare_job.JobModel",
            "args": {"folder": str(folder)},
        },
        initial_ckpt=str(first),
        min_clients=job.sites,
        num_rounds=job.rounds,
        train_script=str(Path(__file__).with_name("nvflare_client.py")),
        train_args=str(folder),
    )
    environment = SimEnv(num_clients=job.sites, workspace_root=str(folder / "nvflare"))
    run = recipe.execute(environment)
    if not run.get_result():
        raise SystemExit("NVFlare's run gave no result")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
