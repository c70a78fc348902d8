"""A node's participant under secure sums: consent, the journal, and what its ledger vouches for."""

import hashlib
import json
from typing import Any

import numpy as np

from client.consent.consent import Consent, journal_of
from client.participant import Participant
from client.private.randomness import Randomness
from client.training.training import pack
from irene_model.exchange.requests import TrainRequest
from tests.helpers.sites.secure_sites import SecureSites, weights_of


def asked(sites: SecureSites, **fields: Any) -> TrainRequest:
    fields = {"run": "r", "round": 1, "partners": "east,north,south", **fields}
    return TrainRequest.about(sites.study, arrays=weights_of(sites.study), **fields)


def test_every_attempt_is_in_journal_and_ledger_and_they_agree(written: SecureSites) -> None:
    sites = written.afresh(budget={"epsilon": 20, "delta": 1e-3, "alone": 60})
    hospital = sites.hospital("north")
    waits = Participant.of_node(hospital.site_file).train(asked(sites, attempt=1))
    assert (waits.outcome, waits.arrays) == ("waiting", {})
    Consent.of(hospital.site).approve(sites.study)
    replies = [
        Participant.of_node(hospital.site_file).train(asked(sites, **fields))
        for fields in (
            {"attempt": 1},
            {"attempt": 2, "partners": "north,south,west"},
            {"attempt": 2, "partners": "north,south,west"},
            {"round": 2, "attempt": 1},
        )
    ]
    assert [reply.reason for reply in replies] == [""] * 4  # ledger and journal vouch for it
    lines = [
        json.loads(line.content)
        for line in journal_of(hospital.site).entries()
        if line.kind == "update released"
    ]
    assert [(line["round"], line["attempt"]) for line in lines] == [(1, 1), (1, 2), (1, 2), (2, 1)]
    for line, reply in zip(lines, replies, strict=True):
        assert line["sha256"] == hashlib.sha256(pack(reply.arrays)).hexdigest()
        assert line["budget_alone"] == 60 and line["budget"] == 20
        assert line["epsilon_alone"] == reply.epsilon_alone > line["epsilon_total"]
    charges = sites.charges("north")
    assert [(c.round, c.attempt, c.partners) for c in charges] == [
        (1, 1, "east,north,south"), (1, 2, "north,south,west"), (2, 1, "east,north,south"),
    ]  # fmt: skip
    assert [reply.rounds_charged for reply in replies] == [1, 1, 1, 2]


def test_a_simulations_attempt_draws_other_patients_and_attempt_0_draws_as_before() -> None:
    def drawn(**fields: Any) -> tuple[Any, ...]:
        randomness = Randomness.of_round(seed=1, site="a", round=1, **fields)
        streams = (randomness.sampling, randomness.noise, randomness.dropout)
        return tuple(float(stream.standard_normal((1,))[0]) for stream in streams)

    before = np.random.default_rng(np.random.SeedSequence([1, 1, *b"a"]).spawn(2)[0])
    assert drawn() == drawn(attempt=0)
    assert drawn()[0] == float(before.standard_normal(1)[0])
    seen = [drawn(attempt=attempt) for attempt in range(4)]
    assert len({number for each in seen for number in each}) == 12
    # A name that ends as another one's attempt is written is no other one's attempt.
    long = Randomness.reproducible(seed=1, site="a" + chr(1), round=1).sampling
    short = Randomness.reproducible(seed=1, site="a", round=1, attempt=1).sampling
    assert long.random() != short.random()
