"""Kill a client in the middle of secure sums, again and again: is a mask ever used twice?

    python -m tests.drills.attempt_drill --kills 60

A client process answers one question after another for attempts at one round's sum, and tells the
hash of each answer through a pipe. The parent kills it with SIGKILL at random moments; the next one
is asked for the same attempt again, for a new one with other partners, or for what must be refused:
the same number with other partners, or an older one. Afterwards the ledger is compared with what
was seen.
"""

import hashlib
import json
import os
import random
import signal
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import torch
import typer

from client.consent.consent import Consent
from client.participant import Participant
from client.training.training import pack
from irene_model.exchange.requests import TrainRequest
from tests.helpers.sites.secure_sites import SecureSites, weights_of, write_secure_sites

SITE = "north"
PARTNERS = ("east,north,south", "east,north,west", "north,south,west", "east,north,south,west")
PRIVACY = {"noise_multiplier": 4.0, "delta": 1e-3}
BUDGET = {"epsilon": 1e6, "delta": 1e-3, "alone": 1e6}
Question = tuple[int, str]  # an attempt's number and partners


@dataclass(kw_only=True)
class Findings:
    """What was seen; `faults` is empty where no mask was used twice."""

    kills: int
    seen: dict[Question, set[str]] = field(default_factory=lambda: defaultdict(set))
    answers: int = 0
    refused: int = 0
    untrained: int = 0
    charges: int = 0
    faults: list[str] = field(default_factory=list)


def drill(folder: Path, *, kills: int, seed: int) -> Findings:
    """Run the drill in the empty `folder`."""
    torch.set_num_threads(1)  # its pool of threads would not survive a fork
    sites = write_secure_sites(folder).afresh(budget=BUDGET, privacy=PRIVACY)
    Consent.of(sites.hospital(SITE).site).approve(sites.study)
    _answer(sites, (1, PARTNERS[0]))  # all is imported now that a forked client will use
    begun = time.monotonic()
    _answer(sites, newest := (2, PARTNERS[0]))
    an_answer_s = time.monotonic() - begun
    found, rng = Findings(kills=kills), random.Random(seed)
    for _ in range(kills):
        asked = _question(newest, rng)
        honest = asked == newest or asked[0] > newest[0]
        said = _life(sites, asked, rng.uniform(0, 2 * an_answer_s))
        charges = {(c.attempt, c.partners): c for c in sites.charges(SITE)}  # verifies the chain
        for outcome, sha256 in said:
            found.answers += 1
            found.refused += outcome == "declined"
            if outcome == "updated":
                found.seen[asked].add(sha256)
                if not charges[asked].released:
                    found.faults.append(f"{asked}: seen before it was released")
            if (outcome == "updated") != honest:
                found.faults.append(f"{asked} after {newest}: {outcome}")
        if honest and asked in charges:
            found.untrained += not charges[asked].released
            newest = asked
    numbers = [charge.attempt for charge in sites.charges(SITE)]
    found.charges = len(numbers)
    if numbers != sorted(set(numbers)):
        found.faults.append("a number was charged twice, or out of order")
    found.faults += [
        f"{asked}: two contents" for asked, each in found.seen.items() if len(each) > 1
    ]
    if not found.seen or not found.refused:
        found.faults.append("nothing was seen, or nothing refused: nothing was tested")
    return found


def _question(newest: Question, rng: random.Random) -> Question:
    number, partners = newest
    others = [each for each in PARTNERS if each != partners]
    kind = rng.random()
    if kind < 0.4:
        return newest
    if kind < 0.7:
        return number + 1, rng.choice(PARTNERS)
    if kind < 0.85 or number == 1:
        return number, rng.choice(others)
    return rng.randrange(1, number), rng.choice(PARTNERS)


def _life(sites: SecureSites, asked: Question, seconds: float) -> list[tuple[str, str]]:
    """(outcome, sha256 of the bytes) of all that a client answered before it was killed."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            while True:
                os.write(writer, f"{json.dumps(_answer(sites, asked))}\n".encode())
        finally:
            os._exit(1)  # the parent's own cleaning up is not the child's to do
    os.close(writer)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reader) as pipe:
        lines = [json.loads(line) for line in pipe.read().splitlines() if line.endswith("]")]
    if not os.WIFSIGNALED(status):
        raise RuntimeError("the client ended by itself")
    return [(outcome, sha256) for outcome, sha256 in lines]


def _answer(sites: SecureSites, asked: Question) -> tuple[str, str]:
    number, partners = asked
    request = TrainRequest.about(
        sites.study, run="drill", round=1, attempt=number, partners=partners,
        arrays=weights_of(sites.study),
    )  # fmt: skip
    reply = Participant.of_node(sites.hospital(SITE).site_file).train(request)
    return str(reply.outcome), hashlib.sha256(pack(reply.arrays)).hexdigest()


def main(
    kills: Annotated[int, typer.Option(min=1, help="How often the client is killed.")] = 60,
    seed: Annotated[int, typer.Option(help="Seed of the moments of the kills.")] = 0,
) -> None:
    """Kill a client in the middle of secure sums and check its ledger afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        found = drill(Path(folder), kills=kills, seed=seed)
    typer.echo(
        f"{found.kills} kills; {found.answers} answers seen, {found.refused} of them refusals, of "
        f"{len(found.seen)} attempts; {found.charges} attempts charged; {found.untrained} kills "
        "came between charge and release"
    )
    for fault in found.faults:
        typer.echo(f"FAULT: {fault}", err=True)
    if found.faults:
        raise typer.Exit(1)
    typer.echo("no fault")


if __name__ == "__main__":
    typer.run(main)
