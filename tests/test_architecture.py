"""What is ours is imported from here, shadows nothing, and Flower ships none of it."""

import importlib
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
PACKAGES = ("client", "irene_model", "server", "simulations")
FLWR = Path(sys.executable).parent / "flwr"  # not resolved: an environment's python is a link
# Python has imported its own `site` before any path of ours can stand in front of it.
ALWAYS_LOADED_FIRST = {"site"}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Flower App Bundle that `flwr run` sends to the SuperLink, and it to every site."""
    folder = tmp_path_factory.mktemp("bundle")
    environment = {
        **os.environ,
        "FLWR_HOME": str(folder / "home"),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
    }
    before = set(CHECKOUT.iterdir())
    done = subprocess.run(
        [str(FLWR), "build", "--app", str(CHECKOUT)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    left = {path.name for path in set(CHECKOUT.iterdir()) - before}
    assert not [name for name in left if name.endswith(".fab") or "flwr" in name]
    (built,) = folder.glob("*.fab")
    return built


@pytest.mark.parametrize("name", PACKAGES)
def test_packages_come_from_this_checkout(name: str) -> None:
    package = importlib.import_module(name)
    assert package.__file__ is not None
    assert Path(package.__file__) == CHECKOUT / name / "__init__.py"


@pytest.mark.parametrize("name", PACKAGES)
def test_no_module_is_named_like_one_of_the_standard_library(name: str) -> None:
    ours = {path.stem for path in (CHECKOUT / name).rglob("*.py")} | {name}
    assert len(ours) > 3
    assert not (ours & sys.stdlib_module_names) - ALWAYS_LOADED_FIRST


def test_the_bundle_holds_the_names_of_the_apps_and_no_code_or_data(bundle: Path) -> None:
    with zipfile.ZipFile(bundle) as file:
        assert set(file.namelist()) == {"pyproject.toml", ".info/CONTENT"}
        shipped = tomllib.loads(file.read("pyproject.toml").decode())
    components = shipped["tool"]["flwr"]["app"]["components"]
    assert components == {"serverapp": "server.app:app", "clientapp": "client.app:app"}


@pytest.mark.parametrize("name", ["server.app", "client.app"])
def test_flower_loads_the_apps_that_are_installed(bundle: Path, name: str, tmp_path: Path) -> None:
    """As Flower's loader does: the unpacked bundle first on the path, then an import."""
    with zipfile.ZipFile(bundle) as file:
        file.extractall(tmp_path)
    code = (
        "import sys; from importlib.util import find_spec\n"
        "sys.path.insert(0, sys.argv[1]); print(find_spec(sys.argv[2]).origin)"
    )
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), name],
        cwd=tmp_path,
        env=inherited,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout.strip() == str(CHECKOUT / f"{name.replace('.', '/')}.py"), found.stderr


def test_flower_and_the_package_agree_on_the_version() -> None:
    """`flwr run` reads the version from pyproject.toml, where it can't be dynamic."""
    with (CHECKOUT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    assert project["version"] == importlib.import_module("irene_model").__version__
