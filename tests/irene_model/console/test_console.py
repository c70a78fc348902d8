"""Exit codes and errors of a command line, whatever went wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from irene_model import __version__
from irene_model.console.console import Version, new_app, run_app
from irene_model.errors import BudgetExceeded, ConfigError, DataError, ProtocolError

CHECKOUT = Path(__file__).resolve().parents[3]


def leave(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], error: BaseException | None
) -> int:
    app = new_app("A command for tests.")

    @app.callback()
    def root(version: Version = False) -> None:
        """Options of all."""

    @app.command()
    def work(count: int = 1) -> None:
        """Fail as told."""
        if error is not None:
            raise error

    monkeypatch.setattr(sys, "argv", ["tool", *arguments])
    with pytest.raises(SystemExit) as left:
        run_app(app)
    return int(left.value.code or 0)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, 0),
        (ConfigError("a.yaml: wrong\nin two lines"), 2),
        (DataError("a.csv: wrong"), 2),
        (BudgetExceeded("nothing is left"), 1),
        (ProtocolError("wrong shape"), 1),
        (KeyboardInterrupt(), 130),
        (typer.Exit(3), 3),
    ],
)
def test_exit_codes(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException | None,
    code: int,
) -> None:
    assert leave(monkeypatch, ["work"], error) == code
    printed = capsys.readouterr().err
    if isinstance(error, (ConfigError, DataError, BudgetExceeded, ProtocolError)):
        assert printed == f"error: {' '.join(str(error).split())}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["play"], "No such command 'play'"),
        (["work", "--cuont", "2"], "No such option"),
        (["work", "--count", "two"], "'two' is not a valid int"),
    ],
)
def test_wrong_usage_is_the_users_mistake(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    assert leave(monkeypatch, arguments, None) == 2
    printed = capsys.readouterr().err
    assert said in printed and printed.count("error:") == 1 and "--help" in printed


def test_our_own_mistakes_are_not_dressed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError):
        leave_raw(monkeypatch)


def leave_raw(monkeypatch: pytest.MonkeyPatch) -> None:
    app = new_app("A command for tests.")

    @app.command()
    def work() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(sys, "argv", ["tool"])
    app.info.no_args_is_help = False
    run_app(app)


def test_version_and_help_are_quick_and_teach() -> None:
    before = os.times()
    helped = _client("--help")
    after = os.times()
    ours = sum(after[2:4]) - sum(before[2:4])  # of the children, whatever else the machine does
    assert ours < 5.0
    assert helped.returncode == 0 and "irene-client check site.yaml" in helped.stdout
    assert _client("--version").stdout.strip() == __version__
    assert "STUDY.yaml" in _client("check", "--help").stdout


def test_help_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'pandas', 'flwr', 'numpy', 'matplotlib'}"
    probe = f"import sys, client.cli; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _client(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from client.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def typed(
    folder: Path, command: str, *arguments: str | bytes, **variables: str
) -> subprocess.CompletedProcess[str]:
    """A real command in `folder`, under a locale that knows ASCII alone."""
    code = f"from {command}.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env={**os.environ, **ASCII, "PYTHONPATH": str(CHECKOUT), **variables},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_names_and_paths_are_utf8_under_an_ascii_locale(tmp_path: Path) -> None:
    place = tmp_path / "Städtisches Krankenhaus"
    place.mkdir()
    done = typed(place, "server", "init", "Föderation", "--host", "gateway.example.org")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{place / 'Föderation'} is made" in done.stdout
    unit = (place / "Föderation" / "systemd" / "irene-server.service").read_text("utf-8")
    assert str(place / "Föderation") in unit
    done = typed(place, "server", "status", "Föderation")  # with ✕ and boxes
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "✕ not started: irene-server start" in done.stdout
    done = typed(place, "client", "keygen", "Schlüssel")
    assert (done.returncode, done.stderr) == (0, "")
    assert (place / "Schlüssel" / "hospital.pub").exists()
    done = typed(place, "client", "requests", "Häuser.yaml")
    assert done.returncode == 2 and done.stderr == "error: Häuser.yaml: no such file\n"


def test_a_name_that_is_not_utf8_is_one_clear_line(tmp_path: Path) -> None:
    done = typed(tmp_path, "server", "init", b"f\xf6deration", "--host", "a.org")
    assert (done.returncode, done.stderr) == (
        2,
        "error: a name or path is not in UTF-8; rename it\n",
    )
    assert list(tmp_path.iterdir()) == []


def test_a_locale_that_can_not_be_helped_is_tried_once(tmp_path: Path) -> None:
    """An interpreter that ignores its environment (-E) does not begin anew for ever."""
    done = subprocess.run(
        [sys.executable, "-E", "-c", "from server.cli import main; main()", "--version"],
        cwd=CHECKOUT, env={**os.environ, **ASCII, "PYTHONUTF8": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout.strip() == __version__
