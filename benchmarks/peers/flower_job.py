"""The job as Flower's example of Opacus does it: `FOLDER` holds job.json."""

import sys
from pathlib import Path

from benchmarks.peers.job import Job, tell
from benchmarks.simulated import flower_example
from irene_model.study import Study


def main(folder: Path) -> None:
    """Train, and tell what the example prints in each round."""
    job = Job.read(folder)

    def observe(round: int, _peak: int, epsilon: float, bytes: int) -> None:
        if round:
            tell(round=round, epsilon=epsilon, bytes=bytes)

    flower_example.run(
        Study.read(job.study),
        [job.partition(number) for number in range(job.sites)],
        batch=job.batch,
        noise=job.noise,
        rounds=job.rounds,
        parallel=2,
        observe=observe,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
