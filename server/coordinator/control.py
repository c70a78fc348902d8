"""Flower's Control API, by its own `flwr` command: runs and registered nodes."""

import json
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from irene_model.errors import IreneError
from server.coordinator.certificates import write_private
from server.coordinator.coordinator import Coordinator
from server.coordinator.services import environment, program

_CONNECTION = "here"
_ANSWER_S = 60
_IN_USE = "in use"
_ALL = str(2**31 - 1)


class ControlError(IreneError):
    """The SuperLink does not do what it was asked, or does not answer."""

    @property
    def key_in_use(self) -> bool:
        """Whether it knows the public key already."""
        return _IN_USE in str(self).lower()


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """A run as Flower sees it. `status` is as `running` or `finished:completed`."""

    status: str
    details: str

    @property
    def finished(self) -> bool:
        """Whether nothing happens any more."""
        return self.status.startswith("finished")

    @property
    def completed(self) -> bool:
        """Whether it ended as it should."""
        return self.status == "finished:completed"

    @property
    def stopped(self) -> bool:
        """Whether somebody stopped it."""
        return self.status == "finished:stopped"

    @property
    def lost(self) -> bool:
        """Whether it failed because its process vanished, rather than by an error of its own."""
        return self.finished and "heartbeat" in self.details.lower()

    @property
    def reason(self) -> str:
        """Why it failed, in the words of the error."""
        return self.details.removeprefix("ServerApp failed with exception: ")


@dataclass(frozen=True, kw_only=True)
class NodeStatus:
    """A registered node. since: when it last connected or went away, as Flower writes it."""

    online: bool
    since: str | None


class Control:
    """The SuperLink of one coordinator's folder. Every call takes a second or more."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        # Flower takes no relative path here, and the folder may have moved.
        connection = {
            "address": coordinator.superlink,
            "root-certificates": str(coordinator.certificates / "ca.crt"),
        }
        lines = ["[superlink]", f'default = "{_CONNECTION}"', f"[superlink.{_CONNECTION}]"]
        lines += [f"{key} = {_toml(value)}" for key, value in connection.items()]
        write_private(coordinator.flower_home / "config.toml", ("\n".join(lines) + "\n").encode())

    def submit(self, config: Mapping[str, str | int]) -> str:
        """Start a run with this run configuration; returns Flower's id of it."""
        # As a file: Flower's reading of key=value pairs stumbles over quotes and blanks in paths.
        with tempfile.NamedTemporaryFile("w", suffix=".toml", encoding="utf-8") as file:
            for key, value in config.items():
                file.write(f"{key} = {_toml(value)}\n")
            file.flush()
            answer = self._ask(
                "run", str(self._coordinator.app), _CONNECTION, "--run-config", file.name
            )
        return str(answer["run-id"])

    def run(self, run_id: str) -> RunStatus | None:
        """How a run stands; None where Flower does not know it."""
        # Without a limit Flower lists the newest twenty, and an older one would seem forgotten.
        runs = self._ask("list", _CONNECTION, "--limit", _ALL)["runs"]
        found = [run for run in runs if run["run-id"] == run_id]
        if not found:
            return None
        return RunStatus(status=str(found[0]["status"]), details=str(found[0]["status-details"]))

    def stop(self, run_id: str) -> None:
        """End a run, if it has not ended."""
        self._ask("stop", run_id, _CONNECTION)

    def nodes(self) -> dict[str, NodeStatus]:
        """The registered nodes by their id, in decimal digits."""
        found = {}
        for node in self._ask("supernode", "list", _CONNECTION)["nodes"]:
            if node["status"] == "unregistered":
                continue
            online = node["status"] == "online"
            since = node["online-at" if online else "offline-at"]
            found[str(node["node-id"])] = NodeStatus(
                online=online, since=None if since == "N/A" else since
            )
        return found

    def register(self, key: Path, name: str) -> str:
        """Register a node's public key; returns the node's id, decimal digits."""
        answer = self._ask("supernode", "register", str(key), _CONNECTION, "--name", name)
        return str(answer["node-id"])

    def unregister(self, node_id: str) -> None:
        """Forget a node: it is refused from now on."""
        self._ask("supernode", "unregister", node_id, _CONNECTION)

    def _ask(self, *arguments: str) -> dict[str, Any]:
        try:
            done = subprocess.run(
                [program("flwr"), *arguments, "--format", "json"],
                cwd=self._coordinator.path,
                env=environment(self._coordinator),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=_ANSWER_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ControlError(f"the SuperLink does not answer within {_ANSWER_S} s") from None
        try:
            answer: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            answer = {}
        if done.returncode or not answer.get("success"):
            said = answer.get("error-message") or done.stderr or done.stdout
            raise ControlError(f"flwr {arguments[0]}: {' '.join(str(said).split())[-600:]}")
        return answer


def _toml(value: str | int) -> str:
    """A TOML value; a JSON string is one, but for escapes of characters above U+FFFF."""
    return json.dumps(value, ensure_ascii=False)
