"""A coordinator who ships hostile code, and a hospital's node that it is shipped to."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.helpers.hospital_folder import HospitalFolder
from tests.helpers.tls_superlink import BIN, TlsSuperLink, wait_for

# Greets whoever is connected, for ever.
DRIVER = """
def drive(study, exchange, out):
    while True:
        patience = dict.fromkeys(exchange.nodes(), 30.0)
        for reply in exchange.ask(HelloRequest.about(study, run="driven"), patience):
            said = reply.flat and HelloReply.from_flat(reply.flat)
            site, reason = (said.site, said.reason) if said else (None, reply.reason)
            out.write(json.dumps({"site": site, "reason": reason}) + "\\n")
        time.sleep(1)
"""


@dataclass(kw_only=True)
class Coordinator:
    """A SuperLink whose run ships hostile code, and what it heard."""

    link: TlsSuperLink
    out: Path
    marker: Path

    def heard(self, site: str) -> list[str]:
        """The reasons in `site`'s replies."""
        text = self.out.read_text() if self.out.exists() else ""
        lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
        return [line["reason"] for line in lines if line["site"] == site]


@dataclass(kw_only=True)
class Node:
    """One hospital with its node."""

    files: HospitalFolder
    coordinator: Coordinator
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    before: Sequence[str] = ()
    options: Sequence[str] = field(default=())

    @property
    def name(self) -> str:
        return self.files.site.site

    @property
    def state(self) -> Path:
        return self.files.folder / ".irene" / "node"

    @property
    def command(self) -> list[str]:
        server = self.coordinator.link.address
        options = [*("--server", server), *("--ca", str(self.coordinator.link.ca)), *self.options]
        main = "from client.cli import main; main()"
        return [
            *self.before, str(BIN / "python"), "-P", "-c", main, "start", "site.yaml",
            *("--key", "keys/hospital.key"), *options,
        ]  # fmt: skip

    def client(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [str(BIN / "irene-client"), *arguments], env=self.environment,
            cwd=self.files.folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def start(self) -> None:
        with (self.files.folder / "said").open("ab") as said:
            self.process = subprocess.Popen(
                self.command, cwd=self.files.folder, env=self.environment,
                stdout=said, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def told(self) -> str:
        return (self.files.folder / "said").read_text(errors="replace")

    def status(self) -> Any:
        done = subprocess.run(
            [str(BIN / "irene-client"), "status", "site.yaml", "--json"], env=self.environment,
            cwd=self.files.folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return json.loads(done.stdout)

    def wait(self, true: Any) -> None:
        wait_for(true, self.story)

    def story(self) -> str:
        root = Path("/proc", str(self.process.pid if self.process else 1), "root")
        logs = [*(root / str(self.state)[1:] / "logs").glob("*.log"), self.coordinator.link.log]
        ends = [f"{log}\n{log.read_text(errors='replace')[-3000:]}" for log in logs]
        return "\n---\n".join([self.told(), str(self.coordinator.heard(self.name)), *ends])

    def answers(self) -> None:
        """Wait for one more reply of the installed client."""
        before = len(self.coordinator.heard(self.name))
        self.wait(lambda: len(self.coordinator.heard(self.name)) > before)
        assert self.coordinator.heard(self.name)[-1] == (
            "the study waits for the approval of the site's people"
        )
        assert not self.coordinator.marker.exists()
