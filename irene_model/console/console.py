"""What the three commands share: exit codes, one clear error on stderr, logging.

Exit codes: 0 success, 2 the user's mistake, 1 a failure. A mistake is one line, without a
traceback: it names what to mend, and a traceback of a hospital's process could quote patients.
"""

import io
import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

import click
import typer

from irene_model import __version__
from irene_model.errors import IreneError, UserError
from irene_model.study import OneLine, one_line

if TYPE_CHECKING:
    from rich.console import Console

USER_MISTAKE, FAILURE, INTERRUPTED = 2, 1, 130
PICTURES = (".png", ".svg", ".pdf")
_LONGEST_COMPLAINT = 4000  # it may quote what each of many sites said


def new_app(help_text: str) -> typer.Typer:
    """An app whose bare call shows its help, and whose tracebacks never show local variables."""
    return typer.Typer(
        help=help_text,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
    )


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
]


def picture_file(path: Path | None) -> Path | None:
    """An option's callback: refuse a place for a picture before any work is done for it."""
    if path is None:
        return None
    if path.suffix.lower() not in PICTURES:
        raise typer.BadParameter(f"{path}: name a file that ends in {', '.join(PICTURES)}")
    if path.is_dir():
        raise typer.BadParameter(f"{path}: is a folder; name a file")
    if not path.parent.is_dir():
        raise typer.BadParameter(f"{path}: its folder does not exist; make it first")
    return path


class Judged(Protocol):
    """A status, of a node or of a coordinator's machine."""

    @property
    def well(self) -> bool:
        """Nothing is broken."""

    def as_json(self) -> dict[str, Any]:
        """All of it, for programs."""


AnyStatus = TypeVar("AnyStatus", bound=Judged)


def tell_status(
    found: AnyStatus, show: Callable[[AnyStatus, "Console"], None], *, as_json: bool
) -> None:
    """A `status` command's end: JSON, or what `show` writes; exit code 1 if something is broken."""
    from rich.console import Console

    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2, ensure_ascii=False))
    else:
        show(found, Console())
    if not found.well:
        raise typer.Exit(FAILURE)


def configure_logging() -> None:
    """This project's counts and durations to stderr; of libraries, warnings only.

    Of pydicom nothing: its remarks quote header fields, and those name patients. Nothing
    of transformers' bars for every file of weights: it obeys huggingface_hub's variable, which
    unlike its own function needs no import.
    """
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    for package in ("irene_model", "client", "server", "simulations"):
        logging.getLogger(package).setLevel(logging.INFO)
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)


def run_app(app: typer.Typer) -> None:
    """Run the command line and leave the process with the right exit code."""
    _speak_utf8()
    configure_logging()
    try:
        code = typer.main.get_command(app).main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        typer.echo(error.format_message().rstrip(), err=True, nl=False)  # rich has shown it
        code = USER_MISTAKE
    except click.ClickException as error:
        hint = ""
        if isinstance(error, click.UsageError) and error.ctx is not None:
            hint = f" (see {error.ctx.command_path} --help)"
        code = _complain(f"{error.format_message().rstrip('.')}{hint}", USER_MISTAKE)
    except UserError as error:
        code = _complain(str(error), USER_MISTAKE)
    except IreneError as error:
        code = _complain(str(error), FAILURE)
    except UnicodeEncodeError as error:
        if error.reason != "surrogates not allowed":
            raise
        code = _complain("a name or path is not in UTF-8; rename it", USER_MISTAKE)
    except (click.Abort, KeyboardInterrupt):
        code = _complain("interrupted", INTERRUPTED)
    sys.exit(code)


def _speak_utf8() -> None:
    """Begin anew in UTF-8 where the locale knows ASCII alone, as that of cron or LC_ALL=C does.

    Names, paths and files are UTF-8 here whatever the locale; so are those of what is started.
    """
    if sys.getfilesystemencoding() == "ascii" and os.environ.get("PYTHONUTF8") != "1":
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, sys.orig_argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal of another encoding lacks characters
            stream.reconfigure(errors="backslashreplace")


def _complain(said: str, code: int) -> int:
    typer.echo(f"error: {one_line(said, _LONGEST_COMPLAINT)}", err=True)
    return code
