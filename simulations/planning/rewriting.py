"""A YAML file with other settings in it and all else as people wrote it, comments too. Pure.

A value is replaced where it stands; a key that is not there comes behind its mapping's last one, in
the mapping's own style. What comes out is read back and compared by whoever writes it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml
from yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode

from simulations.planning.settings import text_of


def rewritten(text: str, settings: Mapping[str, Any]) -> str:
    """`text` with each dotted key of `settings` at its value; `text` must be a mapping."""
    for key, value in settings.items():
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        assert isinstance(root, MappingNode)  # it was read as one before
        text = _assigned(text, root, key.split("."), value)
    return text


def _assigned(text: str, mapping: MappingNode, parts: Sequence[str], value: Any) -> str:
    first, *rest = parts
    found = next((node for key, node in _entries(mapping) if key == first), None)
    if found is not None and rest and isinstance(found, MappingNode) and found.value:
        return _assigned(text, found, rest, value)
    for part in reversed(rest):
        value = {part: value}
    if found is None:
        return _with_entry(text, mapping, f"{first}: {text_of(value)}")
    start, end = found.start_mark.index, _end(text, found)
    gap = " " if text[start - 1 : start] == ":" else ""  # behind a key without a value
    return text[:start] + gap + text_of(value) + text[end:]


def _entries(mapping: MappingNode) -> Iterator[tuple[str, Node]]:
    for key, node in mapping.value:
        if isinstance(key, ScalarNode):
            yield key.value, node


def _end(text: str, node: Node) -> int:
    """Where a value ends. The mark of a mapping of many lines lies in front of what comes next,
    behind blank lines and comments that are not its own."""
    last = node
    while isinstance(last, CollectionNode) and not last.flow_style and last.value:
        last = last.value[-1][1] if isinstance(last, MappingNode) else last.value[-1]
    end: int = last.end_mark.index
    folded = isinstance(last, ScalarNode) and last.style in ("|", ">")
    return len(text[:end].rstrip()) if folded else end


def _with_entry(text: str, mapping: MappingNode, entry: str) -> str:
    last = mapping.value[-1][1] if mapping.value else None
    if mapping.flow_style:
        closing = mapping.end_mark.index - 1
        if last is None:
            return text[:closing] + entry + text[closing:]
        at = _end(text, last)
        return f"{text[:at]}, {entry}{text[at:]}"
    assert last is not None  # a block without entries is no mapping
    at = text.find("\n", _end(text, last))
    indent = " " * mapping.value[0][0].start_mark.column
    if at < 0:
        return f"{text}\n{indent}{entry}\n"
    return f"{text[:at]}\n{indent}{entry}{text[at:]}"
