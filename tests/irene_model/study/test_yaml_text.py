"""YAML as people write it: each slip is told with its line, and no key is lost in silence."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from irene_model.errors import ConfigError
from irene_model.study.settings import override
from irene_model.study.yaml_text import YamlError, load, read_yaml


def error_of(text: str) -> tuple[int | None, str]:
    with pytest.raises(YamlError) as caught:
        load(text)
    return caught.value.line, str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "the key 'a' stands in line 1 too; keep one of them"),
        ("x:\n  - {a: 1}\n  - {a: 1,\n     'a': 2}\n", 4, "the key 'a' stands in line 3 too"),
        ("{a: 1, a: 2}", 1, "the key 'a' stands twice in this line"),
        ("on: 1\n'on': 2\n", 2, "the key 'on' stands in line 1 too"),
        ("x:\n\ty: 1\n", 2, "a tab where YAML wants spaces"),
        ('a: 1\np: "D:\\export\\a.csv"\n', 2, "write a path in single quotes, or with /"),
        ('a: 1\np: "D:\\new\\table.csv"\n', 2, "write a path in single quotes, or with /"),
        ('p: "C:\\Users\\a"\n', 1, "write a path in single quotes, or with /"),
        ('a: 1\nb: "x\nc: 1\n', 2, "a quote is opened here and never closed"),
        ("a: 1\nb: [1\nc: 2\n", 2, "a bracket is opened here and never closed"),
        ("a: b: c\n", 1, "a second colon in the line"),
        ("a: *x\n", 1, "begins with *; put it in quotes"),
        ("a: @x\n", 1, "begins with @; put it in quotes"),
        ("a: 1\n---\nb: 2\n", 2, "begins a second document"),
        ("a: 'it's'\n", 1, "text behind a closing quote"),
        ("a: 1\nb: \x07\n", 2, "holds a character that text never does"),
        ("a: 2024-02-31\n", None, "holds a date or a number that there is not"),
        ("a: !!python/object:os.system x\n", 1, "begins with !; put it in quotes"),
        ("[a]: 1\n", 1, "braces or brackets as a key"),
        ("[" * 5000, None, "is nested too deeply"),
    ],
)
def test_a_slip_is_told_with_its_line(text: str, line: int | None, said: str) -> None:
    found = error_of(text)
    assert found[0] == line
    assert said in found[1] and "\n" not in found[1]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('s: "\\t"\n', {"s": "\t"}),
        ("p: 'D:\\new\\a.csv'\n", {"p": "D:\\new\\a.csv"}),
        ("p: D:\\new\\a.csv\n", {"p": "D:\\new\\a.csv"}),
        ('u: "1000/\\u00b5l"\n', {"u": "1000/µl"}),
        ("a: &z {k: 1}\nx: {y: &w {<<: *z, k: 2}}\nb: {<<: *w, k: 3}\n", None),
    ],
)
def test_what_is_meant_is_read(text: str, value: Any) -> None:
    found = load(text)
    assert found == (value or {"a": {"k": 1}, "x": {"y": {"k": 2}}, "b": {"k": 3}})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_editors_encodings_are_read(tmp_path: Path, encoding: str, end: str) -> None:
    path = tmp_path / "site.yaml"
    path.write_bytes(f"site: nord{end}unit: 1000/µl{end}".encode(encoding))
    assert read_yaml(path) == {"site": "nord", "unit": "1000/µl"}


def test_another_encoding_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_bytes("site: nord\n# Universität\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"site\.yaml, line 2: is not utf-8 text; save the file"):
        read_yaml(path)


def test_a_repeated_key_on_the_command_line_is_refused() -> None:
    with pytest.raises(ConfigError, match="--set a: the value the key 'b' stands twice"):
        override({}, ["a={b: 1, b: 2}"])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=("C",))),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["a", "on", "1", "ä"]), inner),
    max_leaves=8,
)


@given(JSON)
def test_what_pyyaml_writes_reads_back(document: Any) -> None:
    assert load(yaml.safe_dump(document, allow_unicode=True)) == document


@given(st.text(max_size=40))
def test_any_text_is_a_document_or_one_error(text: str) -> None:
    try:
        load(text)
    except YamlError as error:
        assert "\n" not in str(error)
