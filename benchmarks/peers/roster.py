"""Who does the job: what each needs, what it runs, and what its user writes."""

from dataclasses import dataclass

from benchmarks.peers.job import Job
from benchmarks.peers.truth import epsilon_of_patient
from irene_model.privacy import Mechanism


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One way to do the job.

    package: NAME==VERSION, in an environment of its own; None runs in ours. module: given the job's
    folder; None where we have no job for it. written: what a user writes, from the checkout, or
    from the job's folder where it begins with `job/`.
    """

    name: str
    package: str | None
    module: str | None
    written: tuple[str, ...]
    unit: str = "record"

    def true_epsilon(self, job: Job, *, records: int) -> float:
        """The largest over sites, over all rounds, for a patient of so many records.

        This product draws patients, and one record of a patient that is drawn. The others draw
        records, at the rate that Opacus makes of a data loader: one over its number of batches.
        """
        if self.unit == "patient":
            return self.of(job, 1 / job.rate_of_patients, records=1)
        batches = min(-(-count // min(job.batch, count)) for count in job.records)
        return self.of(job, batches, records=records)

    @staticmethod
    def of(job: Job, batches: float, *, records: int) -> float:
        """Of the job's steps, each of which draws one of so many `batches`."""
        each = Mechanism(noise_multiplier=job.noise, sample_rate=1 / batches, steps=job.rounds)
        return epsilon_of_patient(each, records=records, delta=job.delta)


PEERS = (
    Peer(
        name="this product",
        package=None,
        module="benchmarks.peers.ours_job",
        written=("job/study.yaml", "job/hospitals/s1/site.yaml"),
        unit="patient",
    ),
    Peer(
        name="Flower's Opacus example",
        package=None,
        module="benchmarks.peers.flower_job",
        written=("benchmarks/simulated/flower_example.py",),
    ),
    Peer(
        name="NVFlare's hello-dp",
        package="nvflare==2.9.0",
        module="benchmarks.peers.nvflare_job",
        written=("benchmarks/peers/nvflare_client.py", "benchmarks/peers/nvflare_job.py"),
    ),
    Peer(
        name="FL4Health's instance-level client",
        package="fl4health==0.4.2",
        module=None,
        written=(),
    ),
)
