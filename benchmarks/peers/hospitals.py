"""The hospitals of the job on disk, and their records as tensors for those who read no files."""

from pathlib import Path

import torch

from benchmarks.peers.job import Job
from client.budget import declared_patients, plan_round
from client.records import open_dataset
from client.site import Site
from simulations.hospitals import Scenario, write_hospitals

_SCENARIO = Path(__file__).parents[2] / "simulations/scenarios/demo.yaml"


def write_job(folder: Path, *, patients: int, rounds: int, settings: tuple[str, ...] = ()) -> Job:
    """Four equal hospitals of the demo's kind, each of which hides its patients by itself.

    `settings` replace the scenario's, as `--set` does. The noise is what this product plans for the
    study's epsilon, and all peers add the same.
    """
    batch = max(2, patients // 16)
    scenario = Scenario.read(
        _SCENARIO,
        [
            "federation.secure=null",  # the others have none: each site adds its own noise
            "federation.evaluate_every=1000000",  # the last round alone
            f"federation.rounds={rounds}",
            f"training.expected_batch={batch}",
            f"cohort.patients={patients}",
            "cohort.sites=[{name: s1}, {name: s2}, {name: s3}, {name: s4}]",
            *settings,
        ],
    )
    files = write_hospitals(scenario, folder / "hospitals", seed=0)
    datasets = [open_dataset(Site.read(path), scenario.study) for path in files]
    mechanisms = [
        plan_round(scenario.study, declared_patients(Site.read(file), dataset), 1).mechanism
        for file, dataset in zip(files, datasets, strict=True)
    ]
    job = Job(
        folder=str(folder),
        sites=len(files),
        rounds=rounds,
        batch=batch,
        noise=max(each.noise_multiplier for each in mechanisms),
        clip=scenario.study.privacy.clip_norm,
        delta=scenario.study.privacy.delta,
        records=[sum(map(len, dataset.patients["train"])) for dataset in datasets],
        most_records=max(len(rows) for each in datasets for rows in each.patients["train"]),
        rate_of_patients=max(each.sample_rate for each in mechanisms),
    )
    job.write()
    (folder / "hospitals/study.yaml").rename(job.study)
    for number, dataset in enumerate(datasets):
        rows = torch.tensor([row for each in dataset.patients["train"] for row in each])
        torch.save(dataset.batch(rows.numpy()), job.partition(number))
    return job
