"""The job as this product does it, in a process of its own: `FOLDER` holds job.json."""

import json
import sys
from pathlib import Path

from benchmarks.peers.job import Job, tell
from irene_model.study import Study
from server.runs import RunFolder
from simulations.run import simulate


def main(folder: Path) -> None:
    """Train, and tell what report and rounds say."""
    job = Job.read(folder)
    rounds = f"federation.rounds={job.rounds}"
    run = RunFolder.create(
        folder / "run",
        Study.read(job.study, [rounds, f"privacy.noise_multiplier={job.noise}"]),
        seed=0,
        reproducible_noise=True,
        synthetic=True,
        parallel_sites=2,
        site_files=[str(path) for path in sorted(folder.glob("hospitals/*/site.yaml"))],
    )
    simulate(run)
    results = json.loads((run.path / "results.json").read_text(encoding="utf-8"))
    (arm,) = results["arms"].values()
    printed = max(told["epsilon"] for told in arm["privacy"].values())
    for line in run.rounds():
        bytes = (line["bytes_up"] + line["bytes_down"]) / job.sites
        tell(round=line["round"], epsilon=printed, bytes=bytes)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
