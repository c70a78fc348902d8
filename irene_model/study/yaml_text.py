"""YAML as people write it: read strictly, and told by line what is wrong.

PyYAML alone keeps the last of two equal keys, which silently drops what the first one said, and
takes `"D:\\new"` for a path with a line break in it. Both are errors here. A value is never quoted
in an error.
"""

import codecs
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, ScalarNode

from irene_model.errors import ConfigError

_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_BACKSLASH = (
    "a backslash within double quotes means a special letter; write a path in single quotes, or "
    "with /"
)
# What PyYAML's own words begin with, in other words.
_CAUSES = {
    "found character '\\t'": "a tab where YAML wants spaces; indent with spaces",
    "found unknown escape character": _BACKSLASH,
    "expected escape sequence of": _BACKSLASH,
    "found unexpected end of stream": "a quote is opened here and never closed",
    "found unexpected document separator": "a quote is opened here and never closed",
    "mapping values are not allowed": "a second colon in the line, or a wrong indentation; put "
    "text that holds a colon in quotes",
    "could not find expected ':'": "a key without a colon, or a wrong indentation",
    "expected <block end>": "a wrong indentation, or text behind a closing quote",
    "expected ',' or": "a bracket is opened here and never closed, or a comma is missing",
    "found undefined alias": "a word that begins with *; put it in quotes",
    "did not find expected alphabetic": "a word that begins with * or &; put it in quotes",
    "found character '%'": "a word that begins with %; put it in quotes",
    "found character '@'": "a word that begins with @; put it in quotes",
    "found character '`'": "a word that begins with `; put it in quotes",
    "expected a single document": "a line --- begins a second document; keep one",
    "but found another document": "a line --- begins a second document; keep one",
    "could not determine a constructor": "a word that begins with !; put it in quotes",
    "block sequence entries are not": "a dash that is text; put it in quotes",
    "sequence entries are not": "a dash that is text; put it in quotes",
    "found unhashable key": "braces or brackets as a key; put text in quotes",
}


class YamlError(ValueError):
    """What is wrong with a text, and on which line (1-based)."""

    def __init__(self, said: str, line: int | None = None) -> None:
        super().__init__(said)
        self.line = line


def read_yaml(path: Path) -> Any:
    """What the file holds; a missing, unreadable or malformed one is a ConfigError."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a folder; name the YAML file in it") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: can't be read ({type(error).__name__})") from None
    try:
        return load(_decoded(content))
    except YamlError as error:
        where = f", line {error.line}" if error.line is not None else ""
        raise ConfigError(f"{path}{where}: {error}") from None


def load(text: str) -> Any:
    """The one document in `text`.

    Raises:
        YamlError: it is not YAML, or a key stands in it twice.
    """
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlError(
            "holds a character that text never does; is it YAML at all?", line
        ) from None
    except yaml.MarkedYAMLError as error:
        raise _explained(error) from None
    except YamlError:
        raise
    except RecursionError:
        raise YamlError("is nested too deeply") from None
    except ValueError:
        raise YamlError("holds a date or a number that there is not; put text in quotes") from None


def _decoded(content: bytes) -> str:
    """By its byte order mark, which editors on Windows write, or else as UTF-8."""
    mark = next((mark for mark in _MARKS if content.startswith(mark)), b"")
    body, encoding = content[len(mark) :], _MARKS.get(mark, "utf-8")
    if not mark and body[:200].count(0) > len(body[:200]) // 3:
        encoding = "utf-16-be" if body[0] == 0 else "utf-16-le"
    try:
        return body.decode(encoding)
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise YamlError(f"is not {encoding} text; save the file as UTF-8", line) from None


def _explained(error: yaml.MarkedYAMLError) -> YamlError:
    problem = f"{error.problem or ''}"
    cause = next((said for start, said in _CAUSES.items() if problem.startswith(start)), None)
    opened = problem.startswith(("found unexpected", "expected ',' or"))
    mark = (error.context_mark if opened else None) or error.problem_mark or error.context_mark
    said = "is not valid YAML" + (f": {cause}" if cause else "")
    return YamlError(said, None if mark is None else mark.line + 1)


class _StrictLoader(yaml.SafeLoader):
    """PyYAML's safe loader, to which two equal keys and a path's lost backslashes are errors."""

    def compose_mapping_node(self, anchor: Any) -> MappingNode:
        # Not as values are made: keys that `<<` merges in may be given again.
        node: MappingNode = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, ScalarNode) or key.value == "<<":
                continue
            line = key.start_mark.line + 1
            if key.value in lines:
                first = lines[key.value]
                where = "twice in this line" if first == line else f"in line {first} too"
                raise YamlError(f"the key '{key.value}' stands {where}; keep one of them", line)
            lines[key.value] = line
        return node

    def compose_scalar_node(self, anchor: Any) -> ScalarNode:
        node: ScalarNode = super().compose_scalar_node(anchor)
        start, end = node.start_mark, node.end_mark
        is_control = len(node.value) > 1 and not node.value.isprintable()
        written = (start.buffer or "")[start.pointer : end.pointer]
        if node.style == '"' and is_control and "\\" in written:
            raise YamlError(f"is not valid YAML: {_BACKSLASH}", start.line + 1)
        return node
