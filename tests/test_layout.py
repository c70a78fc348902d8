"""How the code is laid out: sizes, doors, and what the documentation says of files and commands."""

import ast
import functools
import importlib
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import grimp
import pytest

from tests.helpers.doors import DoorsContract

CHECKOUT = Path(__file__).resolve().parents[1]
PACKAGES = ("irene_model", "client", "server", "simulations")
WINGS = sorted(
    door.parent.relative_to(CHECKOUT).as_posix()
    for package in PACKAGES
    for door in (CHECKOUT / package).glob("*/__init__.py")
)
PAGES = [
    CHECKOUT / "README.md",
    CHECKOUT / "CONTRIBUTING.md",
    *sorted((CHECKOUT / "docs").glob("*.md")),
]


def modules(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.py") if path.name != "__init__.py"]


@pytest.mark.parametrize(
    "folder",
    [
        *PACKAGES,
        *WINGS,
        "benchmarks",
        "benchmarks/engines",
        "benchmarks/learning",
        "benchmarks/simulated",
        "benchmarks/deployed",
        "benchmarks/gpu",
        "benchmarks/vocabulary",
        "benchmarks/peers",
    ],
)
def test_a_folder_holds_few_files_and_a_file_few_lines(folder: str) -> None:
    found = modules(CHECKOUT / folder)
    assert 0 < len(found) <= 12, f"{folder}: {len(found)} modules; is it one noun?"
    for path in found:
        assert lines_of(path) <= 300, path


def test_a_file_of_tests_is_as_short_and_a_folder_has_two_for_each_module() -> None:
    """A module of 250 lines may need more tests than fit one file, so these folders may hold 24."""
    for folder in {path.parent for path in (CHECKOUT / "tests").rglob("*.py")}:
        assert len(modules(folder)) <= 24, f"{folder}: sort its files by noun into folders"
        for path in modules(folder):
            assert lines_of(path) <= 300, f"{path}: split it by noun; what is shared is a helper"


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_there_are_two_levels_and_no_more() -> None:
    for package in PACKAGES:
        for path in (CHECKOUT / package).rglob("*.py"):
            assert len(path.relative_to(CHECKOUT).parts) <= 3, path


@pytest.mark.parametrize("wing", WINGS)
def test_a_door_opens_to_what_others_use_and_to_nothing_more(wing: str) -> None:
    door = importlib.import_module(wing.replace("/", "."))
    assert len((door.__doc__ or "").splitlines()) >= 3, f"{wing}: what comes in, what goes out?"
    offered = set(door.__all__)
    assert offered, wing
    assert offered == listed(CHECKOUT / wing / "__init__.pyi")
    for name in offered:
        assert getattr(door, name) is not None
    assert offered == taken()[wing.replace("/", ".")]


def listed(stub: Path) -> set[str]:
    """What the stub's own `__all__` says, which type checkers read."""
    for node in ast.parse(stub.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign):
            return set(ast.literal_eval(node.value))
    raise AssertionError(f"{stub} has no __all__")


@functools.cache
def trees() -> dict[Path, ast.Module]:
    """Every file that may come by a door, parsed; stubs are doors but for the package's own."""
    files = [p for top in (*PACKAGES, "benchmarks") for p in (CHECKOUT / top).rglob("*.py")]
    files.append(CHECKOUT / "irene_model" / "__init__.pyi")
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in files}


@functools.cache
def taken() -> dict[str, set[str]]:
    """Door -> the names that files outside its wing import from it, or use of it as a namespace."""
    found: dict[str, set[str]] = {wing.replace("/", "."): set() for wing in WINGS}
    for path, tree in trees().items():
        inside = ".".join(path.parent.relative_to(CHECKOUT).parts)
        near = f"{path.parent.name}." if path.suffix == ".pyi" else ""
        spaces: dict[str, str] = {}
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom):
                continue
            names = [each.name for each in node.names]
            if (door := f"{near}{node.module}") in found and door != inside:
                found[door].update(names)
            for each in node.names:
                if (door := f"{node.module}.{each.name}") in found and door != inside:
                    spaces[each.asname or each.name] = door
        for node in ast.walk(tree) if spaces else ():
            if isinstance(node, ast.Attribute) and getattr(node.value, "id", None) in spaces:
                found[spaces[node.value.id]].add(node.attr)  # type: ignore[attr-defined]
    return found


def test_who_passes_a_door_by_is_told_which_door_it_was() -> None:
    graph = grimp.ImportGraph()
    for module in ("client", "client.ledger", "client.ledger.head", "client.ledger.ledger"):
        graph.add_module(module)
    graph.add_module("client.budget.plan")
    graph.add_module("client.cli")
    contract = DoorsContract("doors", session_options={}, contract_options={})
    graph.add_import(importer="client.budget.plan", imported="client.ledger")
    graph.add_import(importer="client.ledger.ledger", imported="client.ledger.head")
    assert contract.check(graph, verbose=False).kept

    graph.add_import(importer="client.budget.plan", imported="client.ledger.head")
    graph.add_import(importer="client.cli", imported="client.ledger.ledger")
    checked = contract.check(graph, verbose=False)
    assert not checked.kept
    assert checked.metadata["passed_by"] == [
        ("client.budget.plan", "client.ledger.head"),
        ("client.cli", "client.ledger.ledger"),
    ]


_CODE = re.compile(r"`([^`\n]+)`")
_PLACE = re.compile(
    r"^((?:irene_model|client|server|simulations|tests|benchmarks)/[\w/.-]+\.py)(.*)$"
)
_MODULE = re.compile(r"python -m ((?:tests|benchmarks|client|server|simulations)[\w.]*)")


def test_every_file_and_name_that_the_documentation_points_to_is_there() -> None:
    seen = 0
    for page in PAGES:
        for quoted in _CODE.findall(page.read_text(encoding="utf-8")):
            if not (found := _PLACE.match(quoted)):
                continue
            path = CHECKOUT / found[1]
            assert path.is_file(), f"{page.name} names {found[1]}"
            text = path.read_text(encoding="utf-8")
            for name in re.findall(r"[A-Za-z_]\w*", found[2]):
                assert re.search(rf"\b{name}\b", text), f"{page.name}: no {name} in {found[1]}"
            seen += 1
    assert seen > 20


def test_every_command_that_the_documentation_names_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    seen = set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for module in _MODULE.findall(text):
            assert find_spec(module) is not None, f"{page.name} names python -m {module}"
            seen.add(module)
        for target in re.findall(r"\bmake ([a-z-]+)\b`", text):
            assert target in targets, f"{page.name} names make {target}"
    assert len(seen) > 5


def test_help_and_what_only_watches_need_neither_torch_nor_flower_nor_opacus() -> None:
    code = (
        "import sys\n"
        "for command in ('client', 'server', 'simulations'):\n"
        "    __import__(command + '.cli')\n"
        "import server.submission.following, server.watch.status_survey, server.watch.web\n"
        "import client.node.status, client.node.status_view\n"
        "assert not {'torch', 'flwr', 'opacus', 'matplotlib'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
