"""A run on a Ray cluster that is there: two machines, each trains a part; or a reason why not."""

import socket
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from irene_model.errors import ConfigError
from server.runs.run_folder import RunFolder, versions
from simulations import cli
from simulations.engine import cluster
from simulations.run import simulate, start_run
from tests.helpers.federations.run_here import run_here
from tests.helpers.ray_cluster import can_hide, two_machines
from tests.helpers.small_scenario import small_scenario, write_scenario


@pytest.mark.parametrize("address", ["", "nowhere", "auto", "ray://127.0.0.1:80", "a:0", "a:70000"])
def test_an_address_is_a_host_and_a_port(address: str) -> None:
    with pytest.raises(ConfigError, match="give HOST:PORT"):
        cluster.check_address(address)


def test_an_address_at_which_no_cluster_answers_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(ConfigError, match="no Ray cluster answers"):
            cluster.check_address(f"127.0.0.1:{port}")
    with pytest.raises(ConfigError, match="ray start --head"):
        cluster.check_address(f"127.0.0.1:{port}")


@pytest.mark.parametrize("command", ["run", "compare"])
def test_the_commands_refuse_it_before_anything_is_written(
    tmp_path: Path,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scenario, out = str(write_scenario(tmp_path)), tmp_path / "out"
    monkeypatch.setattr(
        sys, "argv", ["irene-sim", command, scenario, "--out", str(out), "--ray", "127.0.0.1:1"]
    )
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("error: --ray: 127.0.0.1:1: ") and told.count("\n") == 1
    assert not out.exists()


@pytest.fixture(scope="module")
def hidden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hidden")
    if not can_hide(folder):
        pytest.skip("no mount namespaces here")
    return folder


@pytest.fixture(scope="module")
def address(hidden: Path) -> Iterator[str]:
    with two_machines(hidden=hidden) as started:
        yield started


def begun(out: Path) -> RunFolder:
    scenario = small_scenario(out.parent / "scenario", "federation.rounds=2", "cohort.patients=40")
    return start_run(scenario, out, seed=4)


def noted(client: ClientApp, machines: Path) -> ClientApp:
    """`client`, each of whose machines leaves a file named after it."""
    app = ClientApp()

    def respond(message: Message, context: Context) -> Message:
        import ray

        (machines / ray.get_runtime_context().get_node_id()).touch()
        return client(message, context)

    app.query()(respond)
    app.train()(respond)
    app.evaluate()(respond)
    return app


@pytest.mark.slow
def test_both_machines_train_and_the_model_is_that_of_one(address: str, tmp_path: Path) -> None:
    alone = begun(tmp_path / "alone")
    run_here(alone)  # to the bit what one machine's engine gives: test_repeated_run.py
    folder, machines = begun(tmp_path / "cluster"), tmp_path / "machines"
    machines.mkdir()
    simulate(folder, ray_address=address, watched=partial(noted, machines=machines))
    assert len(list(machines.iterdir())) == 2
    for line in folder.rounds():
        assert {entry["outcome"] for entry in line["sites"].values()} == {"updated"}
    one, two = (f.load_checkpoint(2) for f in (alone, folder))
    assert all((one[name] == two[name]).all() for name in one)


@pytest.mark.slow
def test_a_folder_that_one_machine_does_not_see_is_refused(address: str, hidden: Path) -> None:
    folder = begun(hidden / "run")
    with pytest.raises(ConfigError, match=r"does not see .*storage that all machines share"):
        simulate(folder, ray_address=address)
    assert not folder.rounds()
    assert not list(hidden.rglob("seen-*"))


@pytest.mark.slow
def test_other_versions_are_refused(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "versions", lambda: {**versions(), "opacus": "0.1"})
    with pytest.raises(ConfigError, match=r"has opacus .*, and this one 0\.1; install the same"):
        simulate(begun(tmp_path / "run"), ray_address=address)
