"""Two hospitals' nodes, from a key to leaving, at a coordinator who ships hostile code.

A real SuperLink with TLS and node authentication on loopback, two `irene-client start`. The app
that the coordinator sends writes a file when it is imported and when it is called; what answers
all the same is the client that is installed. On the way one site approves the study late, one
node is killed, one site pauses.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from client.consent.consent import Consent, journal_of
from client.ledger.ledger import Ledger
from irene_model.operations.supervised import running, supervisor_of
from tests.helpers.federations.hostile_app import write_hostile_app
from tests.helpers.hospital_folder import SMALL, HospitalFolder, write_hospital
from tests.helpers.sites.typed_commands import typed
from tests.helpers.tls_superlink import BIN, TlsSuperLink, wait_for
from tests.irene_model.journal.test_private_files import open_to_others

# Greets both sites until both are ready, then trains a round, until two rounds are done.
DRIVER = """
from irene_model.exchange import TrainReply, TrainRequest
from irene_model.weights.weights import new_model, to_arrays

def drive(study, exchange, out):
    weights = to_arrays(new_model(study, seed=1))
    round = 1
    while round <= 2:
        ready = {}
        patience = dict.fromkeys(exchange.nodes(), 60.0)
        for reply in exchange.ask(HelloRequest.about(study, run="driven"), patience):
            said = reply.flat and HelloReply.from_flat(reply.flat)
            entry = {"kind": "hello", "site": said and said.site, "reason": reply.reason}
            if said:
                entry |= {"outcome": said.outcome, "reason": said.reason}
                ready |= {reply.node: said.outcome == "ready"}
            out.write(json.dumps(entry) + "\\n")
        if len(ready) < 2 or not all(ready.values()):
            time.sleep(2)
            continue
        request = TrainRequest.about(study, run="driven", round=round, arrays=weights)
        updated = 0
        for reply in exchange.ask(request, dict.fromkeys(ready, 180.0)):
            said = reply.flat and TrainReply.from_flat(reply.flat)
            entry = {"kind": "train", "round": round, "reason": reply.reason}
            if said:
                entry |= {"site": said.site, "outcome": said.outcome, "reason": said.reason}
                updated += said.outcome == "updated"
            out.write(json.dumps(entry) + "\\n")
        round += updated == 2
"""


@dataclass(kw_only=True)
class Hospital:
    """A site's folder and its node."""

    files: HospitalFolder
    said: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def state(self) -> Path:
        return self.files.folder / ".irene" / "node"

    def client(self, *arguments: str, answer: str = "") -> str:
        """An `irene-client` command typed in the site's folder; it must succeed."""
        done = subprocess.run(
            [str(BIN / "irene-client"), *arguments],
            cwd=self.files.folder, input=answer, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, link: TlsSuperLink) -> None:
        with self.said.open("ab") as said:
            self.process = subprocess.Popen(
                [
                    str(BIN / "irene-client"), "start", "site.yaml", "--server", link.address,
                    "--ca", str(link.ca), "--key", "keys/hospital.key",
                ],
                cwd=self.files.folder, stdout=said, stderr=subprocess.STDOUT,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )  # fmt: skip

    def told(self) -> str:
        return self.said.read_text(errors="replace")


@dataclass(kw_only=True)
class Life:
    """The coordinator, both hospitals and what the coordinator's driver noted."""

    link: TlsSuperLink
    north: Hospital
    south: Hospital
    out: Path
    marker: Path
    run: str = field(default="", init=False)

    def heard(self) -> list[dict[str, Any]]:
        if not self.out.exists():
            return []
        text = self.out.read_text()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def wait(self, true: Callable[[], object], patience_s: float = 240) -> None:
        wait_for(true, self.story, patience_s)

    def story(self) -> str:
        logs = [
            self.link.log,
            *(h.state / "logs" / "supernode.log" for h in (self.north, self.south)),
        ]
        ends = [path.read_text(errors="replace")[-3000:] for path in logs if path.exists()]
        return "\n---\n".join([str(self.heard()), self.north.told(), self.south.told(), *ends])

    def rounds(self, site: str) -> list[int]:
        return [
            line["round"]
            for line in self.heard()
            if line["kind"] == "train" and line.get("site") == site
            and line["outcome"] == "updated"
        ]  # fmt: skip


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    hospitals = {}
    for number, name in enumerate(("north", "south")):
        files = write_hospital(tmp_path / name, seed=number)
        files.configure("site", name)
        files.configure("model", SMALL, "study.yaml")
        hospitals[name] = Hospital(files=files, said=tmp_path / f"{name}.said")
        hospitals[name].said.touch()
    (tmp_path / "link").mkdir()
    life = Life(
        link=TlsSuperLink(folder=tmp_path / "link"), out=tmp_path / "heard.jsonl",
        marker=tmp_path / "marker", **hospitals,
    )  # fmt: skip
    try:
        life.link.start()
        yield life
    finally:
        for hospital in hospitals.values():
            if hospital.process is not None:
                hospital.process.terminate()
        for hospital in hospitals.values():
            if hospital.process is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    hospital.process.wait(30)
                hospital.process.kill()
        life.link.stop()


def submit(life: Life) -> None:
    """The hostile app, with a driver of the coordinator's own."""
    app = write_hostile_app(life.link.folder, driver=DRIVER, marker=life.marker)
    config = f'study="{life.north.files.study_file}" out="{life.out}"'
    life.run = life.link.flwr("run", str(app), "here", "--run-config", config)["run-id"]


def assert_accounted_for(hospital: Hospital, link: TlsSuperLink) -> None:
    """Nothing was unpacked; two rounds are charged once each and stand in the journal."""
    assert not list(hospital.state.rglob("*.py")) and not list(hospital.state.rglob("*.fab"))
    site = hospital.files.site
    ledger = Ledger.of(site)
    assert [(r.round, r.released) for r in ledger.reservations()] == [(1, True), (2, True)]
    entries = journal_of(site).entries()
    kinds = [entry.kind for entry in entries]
    assert kinds[0] == "key made" and kinds.count("update released") == 2
    assert kinds.index("study approved") < kinds.index("update released")
    released = json.loads(entries[kinds.index("update released")].content)
    assert released["server"] == link.address and released["who"] == "run driven"
    assert released["fingerprint"] == hospital.files.study.fingerprint


@pytest.mark.slow
def test_a_node_from_its_key_to_leaving(life: Life) -> None:
    north, south = life.north, life.south
    for name, hospital in (("north", north), ("south", south)):
        assert "Never send" in hospital.client("keygen", "keys", "--site", "site.yaml")
        if name == "north":
            life.link.register(hospital.files.folder / "keys" / "hospital.pub", name)
            typed("approve", hospital.files.study_file, hospital.files.site_file, "--yes")
        hospital.start(life.link)

    # A key that is not enrolled is refused and tries again, until it is.
    life.wait(lambda: "connected to the coordinator" in north.told())
    life.wait(lambda: "refused: the coordinator has not enrolled this key" in south.told())
    life.link.register(south.files.folder / "keys" / "hospital.pub", "south")
    submit(life)
    life.wait(lambda: "connected to the coordinator" in south.told())

    # The south's people have not approved: nothing is read or charged, and they are told.
    waiting = {
        "kind": "hello", "site": "south", "outcome": "waiting",
        "reason": "the study waits for the approval of the site's people",
    }  # fmt: skip
    life.wait(lambda: waiting in life.heard())
    life.wait(lambda: "the study 'test study' waits for your approval" in south.told())
    assert not list((south.files.folder / ".irene").glob("ledger*"))
    assert not (south.files.folder / ".irene" / "cache").exists()
    assert "waits for you" in south.client("requests", "site.yaml")
    shown = south.client("approve", "test study", "site.yaml", answer="y\n")
    assert north.files.study.fingerprint in shown and "epsilon 8 for the whole run" in shown

    # Round 1, then a node is killed; its supervisor brings it back, though Flower refuses it for
    # about a minute. Meanwhile the south pauses.
    life.wait(lambda: life.rounds("north") == life.rounds("south") == [1])
    os.kill(running(north.state)["supernode"].pid, signal.SIGKILL)
    killed = time.monotonic()
    south.client("pause", "site.yaml")
    life.wait(lambda: "ended (killed by SIGKILL)" in north.told())
    paused = {**waiting, "reason": "the site's people have paused it"}
    life.wait(lambda: paused in life.heard())
    south.client("resume", "site.yaml")
    life.wait(lambda: north.told().count("connected to the coordinator") == 2)
    assert time.monotonic() - killed < 150
    life.wait(lambda: life.rounds("north") == life.rounds("south") == [1, 2])

    # What was shipped ran nowhere and was unpacked nowhere, though it writes when it is imported.
    assert not life.marker.exists()
    app = life.link.folder / "hostile-app"
    subprocess.run([BIN / "python", "-c", "import hostile.client"], cwd=app, check=True)
    assert life.marker.read_text() == "imported"
    for hospital in (north, south):
        assert_accounted_for(hospital, life.link)
        assert open_to_others(hospital.files.folder / ".irene") == []

    # Leaving ends the node, and forgets everything but what was spent.
    assert "ledger.sqlite" in north.client("leave", "site.yaml", "--yes")
    assert north.process is not None and north.process.wait(30) == 0
    assert supervisor_of(north.state) is None
    assert not Consent.of(north.files.site).approved(north.files.study.fingerprint)
    assert len(Ledger.of(north.files.site).reservations()) == 2
    assert south.client("stop", "site.yaml") == "The node has ended.\n"
