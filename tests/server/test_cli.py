"""irene-server as it is typed: exit codes, and one clear error for a mistake."""

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

from server.cli import main
from server.watch.rounds_view import RoundsView
from tests.helpers.coordinator_folder import new_coordinator, write_keys


def typed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    monkeypatch.setattr(sys, "argv", ["irene-server", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        main()
    printed = capsys.readouterr()
    return int(left.value.code or 0), printed.out, printed.err


def test_init_once_and_not_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = ("init", tmp_path / "federation", "--host", "gateway.org", "--host", "192.0.2.1")
    code, out, _ = typed(monkeypatch, capsys, *arguments)
    assert code == 0
    assert "irene-server start" in out
    assert "gateway.org:8443" in out
    code, _, err = typed(monkeypatch, capsys, *arguments)
    assert code == 2
    assert err.startswith("error: ")
    assert "nothing is overwritten" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("init", "new"), "Missing option '--host'"),
        (("init", "new", "--host", "https://a.org"), "hosts.0: expected a host name"),
        (("start", "nowhere"), "make a coordinator's folder with irene-server init"),
        (("stop", "nowhere"), "make a coordinator's folder with irene-server init"),
        (("enroll", "federation", "north.pub", "--name", "north"), "is not started"),
        (("enroll", "federation", "north", "--name", "north"), "is a private key"),
        (("enroll", "federation", "north.pub", "--name", "../x"), "--name: expected"),
        (("expel", "federation", "north"), "is not started"),
        (("run", "federation"), "name a STUDY.yaml, or a run with --resume"),
        (("run", "federation", "federation/study.yaml"), "asks for at least 2 sites"),
        (("run", "federation", "--resume", "first"), "no run of that name has begun here"),
        (("run", "federation", "--resume", "a", "--name", "b"), "leave them out"),
    ],
)
def test_mistakes(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    new_coordinator(tmp_path / "federation")
    write_keys(tmp_path, "north")
    code, out, err = typed(monkeypatch, capsys, *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_stopping_what_does_not_run_is_no_mistake(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    new_coordinator(tmp_path / "federation")
    assert typed(monkeypatch, capsys, "stop", tmp_path / "federation")[:2] == (
        0,
        "nothing was running\n",
    )


def test_a_round_names_who_was_not_in_it() -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    view = RoundsView(console, total=3)
    site = {"outcome": "updated", "epsilon": 1.5, "bytes_up": 2_000_000}
    view.show({"round": 1, "seconds": 61.2, "evaluation": {"auroc": 0.75}, "sites": {"a": site}})
    away = {"outcome": "absent", "reason": "not [connected]"}
    sites = {"a": site, "b": away, "c": {"outcome": "late"}}
    view.show({"round": 2, "seconds": 9, "evaluation": None, "sites": sites})
    lines = [" ".join(line.split()) for line in console.export_text().splitlines()]
    assert lines == [
        "round sites AUROC epsilon seconds MB in",
        "1/3 1/1 0.750 1.50 61 2.00",
        "2/3 1/3 - 1.50 9 2.00",
        "b: absent: not [connected]",
        "c: late: no reason given",
    ]
