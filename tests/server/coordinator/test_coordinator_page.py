"""Every command that docs/coordinator.md types is one: its options and arguments are read."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer

import client.cli
import server.cli

PAGE = Path(__file__).resolve().parents[3] / "docs" / "coordinator.md"
APPS = {"irene-server": server.cli.app, "irene-client": client.cli.app}


def typed() -> Iterator[str]:
    """The lines of the page's shell blocks, continued ones joined, and commands within its text."""
    text = PAGE.read_text(encoding="utf-8")
    for block in re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL):
        yield from block.replace("\\\n", " ").splitlines()
    yield from re.findall(r"`(irene-(?:server|client) [^`]+)`", text)


@pytest.mark.parametrize(
    "line", [line for line in typed() if line.startswith(("irene-server ", "irene-client "))]
)
def test_a_command_of_the_page_is_understood(line: str) -> None:
    program, name, *arguments = shlex.split(line)
    group = typer.main.get_command(APPS[program])
    assert isinstance(group, click.Group) or hasattr(group, "commands")
    command = group.commands[name]
    if arguments:  # else only the command is named
        command.make_context(name, arguments)
