"""Commands of `irene-client` as people type them."""

from typer.testing import CliRunner

from client.cli import app


def typed(*arguments: object) -> str:
    """All that the command said, on one line; it must succeed."""
    done = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())
