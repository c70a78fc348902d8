"""A hospital's node where its machine is not as it should be, at a coordinator who ships code.

Real SuperLink, real nodes. The shipped app writes a file when it is imported. What answers is the
installed client, or nothing: on a noexec mount, after a scanner took a file, without SuperExec,
behind a proxy, with a wrong clock.
"""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from client.consent.consent import journal_of
from client.gateway.clock import kept
from irene_model.operations.supervised import running
from tests.helpers.connect_proxy import ConnectProxy
from tests.helpers.federations.attacked_node import DRIVER, Coordinator, Node
from tests.helpers.federations.hostile_app import write_hostile_app
from tests.helpers.hospital_folder import write_hospital
from tests.helpers.sites.typed_commands import typed
from tests.helpers.tls_superlink import BIN, NAME, TlsSuperLink, wait_for
from tests.helpers.wrong_clock import HERE, WHY_NOT, WrongClock

CHECKOUT = Path(__file__).resolve().parents[3]
DEAD = "http://127.0.0.1:9"
PROXIES = tuple(v for n in ("http", "https", "all") for v in (f"{n}_proxy", f"{n}_proxy".upper()))
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def coordinator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coordinator]:
    folder = tmp_path_factory.mktemp("coordinator")
    files = write_hospital(folder / "template")
    found = Coordinator(
        link=TlsSuperLink(folder=folder), out=folder / "heard.jsonl", marker=folder / "marker"
    )
    app = write_hostile_app(folder, driver=DRIVER, marker=found.marker)
    try:
        found.link.start()
        config = f'study="{files.study_file}" out="{found.out}"'
        found.link.flwr("run", str(app), "here", "--run-config", config)
        yield found
        subprocess.run([BIN / "python", "-c", "import hostile.client"], cwd=app, check=True)
        assert found.marker.read_text() == "imported"  # it would have told
    finally:
        found.link.stop()


@pytest.fixture
def node(tmp_path: Path, coordinator: Coordinator, request: Any) -> Iterator[Node]:
    name = f"north-{abs(hash(request.node.name)) % 10_000}"
    files = write_hospital(tmp_path / name)
    files.configure("site", name)
    # Flower's own programs are on the hospital's PATH, as in any environment, and the environment's
    # proxies lead nowhere: no node obeys them unless it is told to.
    environment = {
        **os.environ, "OMP_NUM_THREADS": "1", "PATH": f"{BIN}:{os.environ['PATH']}",
        "PYTHONPATH": str(CHECKOUT), **dict.fromkeys(PROXIES, DEAD),
    }  # fmt: skip
    node = Node(files=files, coordinator=coordinator, environment=environment)
    typed("keygen", files.folder / "keys", "--site", files.site_file)
    coordinator.link.register(files.folder / "keys" / "hospital.pub", name)
    try:
        yield node
    finally:
        if node.process is not None:
            node.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                node.process.wait(30)
            node.process.kill()
            node.process.wait()
    for file in files.folder.rglob("*"):
        assert file.suffix not in (".fab", ".py"), f"{file} was unpacked"
    assert not coordinator.marker.exists()


def _may_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    tried = "mount -t tmpfs -o noexec none /mnt"
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", tried], capture_output=True, check=False
    ).returncode == 0  # fmt: skip


@pytest.mark.skipif(not _may_mount(), reason="this user may not mount in a namespace of its own")
def test_on_a_noexec_mount_the_installed_client_answers(node: Node) -> None:
    """The whole folder of the hospital, `.irene` included, is where nothing may be executed."""
    folder = node.files.folder
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    there, here = shlex.quote(str(folder)), shlex.quote(str(copy))
    script = (
        f"mount -t tmpfs -o noexec none {there} && cp -a {here}/. {there} && cd {there} && "
        "printf '#!/bin/sh\\necho executed' > try && chmod 700 try && "
        '{ ./try || echo noexec; } && exec "$@"'
    )
    node.before = ["unshare", "-m", "sh", "-c", script, "sh"]
    node.start()
    node.answers()
    assert "noexec" in node.told() and "executed" not in node.told()
    assert node.process is not None
    root = Path("/proc", str(node.process.pid), "root", str(folder)[1:])
    seen = [path.name for path in root.rglob("*")]
    assert "node.toml" in seen and "hospital.key" in seen
    assert not [name for name in seen if name.endswith((".py", ".fab")) or "flwr-" in name]


def test_a_program_that_a_scanner_removed_is_replaced_by_nothing(node: Node) -> None:
    """Here the installation is a copy, from which a file is taken while the node runs."""
    copy = node.files.folder.with_name("installation")
    for package in ("client", "irene_model"):
        shutil.copytree(CHECKOUT / package, copy / package)
    node.environment["PYTHONPATH"] = str(copy)
    node.start()
    node.answers()
    heard = len(node.coordinator.heard(node.name))
    (copy / "client" / "trainer" / "trainer.py").unlink()
    shutil.rmtree(copy / "client" / "trainer" / "__pycache__", ignore_errors=True)
    node.wait(lambda: node.told().count("trainer: ended (exit code 1)") >= 2)
    told: list[str] = []

    def names_the_trainer() -> bool:  # SuperExec, which ran older code, comes back first
        told[:] = node.status()["problems"]
        return any("trainer, which answers messages and trains," in each for each in told)

    wait_for(names_the_trainer, lambda: str(told))
    assert str(node.state / "logs" / "trainer.log") in told[-1]
    new = node.coordinator.heard(node.name)[heard:]  # a message on its way may have been answered
    assert all("TrainerLost" in reason for reason in new[1:]), new
    # A new start is refused before anything is connected.
    node.client("stop", "site.yaml")
    said = node.client(*node.command[4:], code=2)
    assert "can't be started here, and nothing is connected" in said
    assert "Install federated-irene again" in said


def test_superexec_killed_or_stopped_is_noticed_and_comes_back(node: Node) -> None:
    node.start()
    node.answers()
    first = running(node.state)["superexec"].pid
    os.kill(first, signal.SIGKILL)
    node.wait(lambda: "superexec: ended (killed by SIGKILL)" in node.told())
    node.wait(lambda: running(node.state)["superexec"].pid != first)
    node.answers()
    assert node.told().count("supernode: started") == 1  # the connection stayed
    wait_for(lambda: node.status()["well"], lambda: str(node.status()))
    second = running(node.state)["superexec"].pid
    os.kill(second, signal.SIGSTOP)
    (problem,) = node.status()["problems"]
    assert "superexec, which hands each message to your client, is unreachable" in problem
    node.wait(lambda: "superexec: no sign of life" in node.told())
    node.wait(lambda: running(node.state)["superexec"].pid != second)
    node.answers()


def test_the_way_out_is_the_sites_proxy_and_loopback_is_direct(
    node: Node, coordinator: Coordinator
) -> None:
    """The name of the server is known to the proxy alone; the environment's would lead nowhere."""
    port = coordinator.link.port
    proxy = ConnectProxy(names={f"{NAME}:443": ("127.0.0.1", port)}, login="me:4711")
    for variable in ("https_proxy", "HTTPS_PROXY"):
        node.environment[variable] = f"http://me:4711@{proxy.address}"
    node.options = ["--server", f"{NAME}:443", "--proxy", "environment"]
    node.start()
    node.answers()
    assert len(proxy.asked) > 2 and all(f"CONNECT {NAME}:443" in first for first in proxy.asked)
    status = node.status()
    assert status["well"] and status["proxy"] == "environment"
    kept_files = [path.read_bytes() for path in node.state.rglob("*") if path.is_file()]
    assert not any(b"me:4711" in content for content in kept_files)
    proxy.close()


@pytest.mark.skipif(not HERE, reason=WHY_NOT)
def test_a_wrong_clock_is_said_and_made_up_for(node: Node, tmp_path: Path) -> None:
    """It starts 2 h ahead, which Flower refuses from 5 s on, and is set 61 min behind."""
    clock = WrongClock(folder=tmp_path / "clock")
    clock.set(7200)
    node.environment |= clock.environment
    node.start()
    node.answers()
    node.answers()  # and it stays connected
    assert (said := "2.0 h ahead of") in node.told() and "NTP" in node.told()
    assert node.told().count("supernode: started") == 1
    status = node.status()
    assert status["well"] and any(said in task for task in status["todo"])
    reading = kept(node.state)
    assert reading is not None and abs(reading.now() - time.time()) < 5
    clock.set(-3660)  # somebody sets it while the node runs
    node.answers()
    node.wait(lambda: "61 min behind" in node.told())
    clock.set(0)
    node.answers()
    node.wait(lambda: "this machine's clock is right again" in node.told())
    assert node.told().count("supernode: started") == 1
    kinds = [entry.kind for entry in journal_of(node.files.site).entries()]
    assert kinds.count("clock wrong") >= 2 and kinds.count("clock right") == 1
