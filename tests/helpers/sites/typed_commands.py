"""Commands as people type them, in this process."""

import typer
from typer.testing import CliRunner

from client.cli import app


def typed(*arguments: object, program: typer.Typer = app) -> str:
    """All that the command said, on one line; it must succeed. Of `irene-client` unless given."""
    done = CliRunner().invoke(program, [*map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())
