"""Secure sums in real processes: a node killed in mid-step, one late, one with a false key."""

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from client.ledger.ledger import Ledger
from client.site.site import Site
from irene_model.operations.supervised import running
from irene_model.secure.masks import MaskKey
from server.cli import app as server
from tests.helpers.federations.deployed import Deployed
from tests.helpers.sites.typed_commands import typed
from tests.helpers.small_scenario import small_scenario

pytestmark = pytest.mark.slow
_RUN_S = 900.0
_SECURE = (
    "federation.secure=true",
    "federation.local_steps=1",
    "federation.rounds=3",
    "federation.evaluate_every=3",
    "federation.minimum_sites=3",
    "federation.round_deadline_s=45",
    "training.optimizer=sgd",
    "training.expected_batch=16",
    "evaluation.noise_multiplier=20",
)


class Secure(Deployed):
    """Four hospitals whose keys are in a roster."""

    def enroll(self, name: str, *options: object) -> None:
        super().enroll(name, "--mask-key", self.keys(name) / "mask.pub")

    def agree(self) -> None:
        """A roster of all, and room for attempts that are lost."""
        roster = self.study.with_name("roster.yaml")
        said = typed("roster", self.coordinator.path, "--out", roster, program=server)
        assert "compare its fingerprint among themselves" in said
        document = yaml.safe_load(self.study.read_text())
        document["federation"]["secure"]["roster"] = "roster.yaml"
        document["privacy"] |= {"epsilon": None, "noise_multiplier": 1.0}
        self.study.write_text(yaml.safe_dump(document))
        for path in self.sites.values():
            text = yaml.safe_load(path.read_text())
            text["budget"] = {"epsilon": 1000, "delta": 1e-3, "alone": 2000}
            path.write_text(yaml.safe_dump(text))

    def start_node(self, name: str) -> None:
        if name == "north":  # after it has approved the roster, it uses another key
            key = self.sites[name].parent / ".irene" / "mask.key"
            key.write_bytes(MaskKey.new().to_bytes())
        super().start_node(name)

    def attempts(self, what: str = "train") -> list[dict[str, Any]]:
        """Each attempt as it is known now."""
        path = self.coordinator.runs / "first" / "attempts.jsonl"
        text = path.read_text() if path.exists() else ""
        whole = text[: text.rfind("\n") + 1].splitlines()
        known = {(r["what"], r["round"], r["attempt"]): r for r in map(json.loads, whole)}
        return [record for key, record in known.items() if key[0] == what]

    def begun(self, round: int) -> bool:
        return any(record["round"] == round for record in self.attempts())

    def signal(self, name: str, number: int) -> None:
        """To all services of a node."""
        for service in running(self.node(name)).values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(service.pid, number)


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[Secure]:
    federation = Secure(folder=tmp_path, scenario=small_scenario(tmp_path / "small", *_SECURE))
    try:
        federation.start()
        yield federation
    finally:
        federation.end()


def test_all_rounds_are_done_and_every_attempt_is_in_the_ledgers(deployed: Secure) -> None:
    run = deployed.submit("first")
    deployed.wait("round 1", lambda: deployed.begun(1), _RUN_S)
    deployed.signal("south", signal.SIGKILL)
    deployed.wait("round 2", lambda: deployed.begun(2), _RUN_S)
    deployed.signal("west", signal.SIGSTOP)
    deployed.wait(
        "an attempt that the late one costs",
        lambda: any("west" in record.get("blamed", ()) for record in deployed.attempts()),
        _RUN_S,
    )
    deployed.signal("west", signal.SIGCONT)
    deployed.wait("the end of the run", lambda: run.poll() is not None, _RUN_S)
    assert run.returncode == 0, deployed.logs()
    lines = deployed.lines_of("first")
    assert [line["round"] for line in lines] == [1, 2, 3]
    for line in lines:
        north = line["sites"]["north"]
        assert north["outcome"] != "updated" and not north.get("asked", True)
        assert "mask key" in north["reason"]
    results = json.loads((deployed.coordinator.runs / "first" / "results.json").read_text())
    (arm,) = results["arms"].values()
    for name in ("east", "south", "west"):
        ledger = Ledger.of(Site.read(deployed.sites[name]))
        held = {(r.round, r.attempt) for r in ledger.reservations() if r.split == "train"}
        asked = {(r["round"], r["attempt"]) for r in deployed.attempts() if name in r["partners"]}
        summed = {
            (r["round"], r["attempt"]) for r in deployed.attempts() if r["outcome"] == "summed"
        }
        assert summed <= held <= asked
        told = arm["privacy"][name]
        assert ledger.epsilon(delta=1e-3) <= told["epsilon"] * (1 + 1e-6)
        assert ledger.epsilon_alone(delta=1e-3) <= told["epsilon_alone"] * (1 + 1e-6)
    assert "north" not in arm["privacy"]
