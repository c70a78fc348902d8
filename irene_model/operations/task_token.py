"""The token of one of Flower's tasks, kept out of the list of processes.

Flower gives it to the program that it starts as an argument, which every user of the machine can
list. A script of the program's name, found first, moves it into the environment, which its owner
alone can read, and becomes the real program.
"""

import os
import shlex
import sys
from pathlib import Path

_TOKEN = "IRENE_TASK_TOKEN"
_SCRIPT = """\
#!/bin/sh
before=
for word do
  shift
  case "$before" in
    --token) {token}=$word; export {token} ;;
    *) [ "$word" = --token ] || set -- "$@" "$word" ;;
  esac
  before=$word
done
exec {python} -P -m {module} "$@"
"""


def write_program(path: Path, module: str) -> None:
    """Write the script at `path` that runs `module`, which calls `take_back` first."""
    text = _SCRIPT.format(token=_TOKEN, python=shlex.quote(sys.executable), module=module)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o700)


def take_back() -> None:
    """Put the token among this process's own arguments, which nobody else sees."""
    token = os.environ.pop(_TOKEN, None)
    if token is not None:
        sys.argv += ["--token", token]
