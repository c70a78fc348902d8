"""How many lines a user writes for a job: those that say something."""

import ast
import io
import tokenize
from pathlib import Path

MEASURED = "# measured"
"""Ends a line that is the benchmark's own and no part of the job."""


def lines_of(path: Path) -> int:
    """Lines of a file without blank lines, comments, docstrings and the benchmark's own."""
    text = path.read_text(encoding="utf-8")
    written = [line.strip() for line in text.splitlines()]
    if path.suffix != ".py":
        return sum(bool(line) and not line.startswith("#") for line in written)
    said: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _SILENT:
            said.update(range(token.start[0], token.end[0] + 1))
    told = said - _docstrings(ast.parse(text))
    return sum(not written[number - 1].endswith(MEASURED) for number in told)


_SILENT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def _docstrings(tree: ast.Module) -> set[int]:
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                found.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return found
