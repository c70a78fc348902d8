"""Encodings: right words, or the cause with its line; never other words."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.site.table_files import Table
from client.tables.text_encodings import decoded
from irene_model.errors import DataError

TEXT = "id,text\na,Müdigkeit\nb,Fièvre\n"


def read(content: bytes, encoding: str = "utf-8") -> str:
    return decoded(content, Table(path=Path("t.csv"), encoding=encoding), "records")


def refusal(content: bytes, encoding: str = "utf-8") -> str:
    with pytest.raises(DataError) as caught:
        read(content, encoding)
    return str(caught.value)


@pytest.mark.parametrize(
    ("written", "declared"),
    [
        *(("utf-8", "utf-8"), ("utf-8-sig", "utf-8"), ("utf-8-sig", "latin-1"), ("utf-8", "UTF8")),
        *(("utf-16", "utf-8"), ("utf-16", "utf-16"), ("utf-16", "latin-1"), ("utf-32", "utf-8")),
        *(("utf-16-le", "utf-16-le"), ("utf-16-be", "utf-16-be"), ("utf-8", "utf-8-sig")),
        *(("cp1252", "cp1252"), ("latin-1", "latin-1"), ("latin-1", "ISO-8859-1")),
    ],
)
def test_a_mark_wins_and_else_the_declared_encoding(written: str, declared: str) -> None:
    assert read(TEXT.encode(written), declared) == TEXT


@pytest.mark.parametrize(
    ("content", "declared", "said"),
    [
        (TEXT.encode("cp1252"), "utf-8", "byte 11 (line 2) is not utf-8 text; save the file as"),
        (TEXT.replace("\n", "\r").encode("cp1252"), "utf-8", "byte 11 (line 2) is not utf-8"),
        (
            "a\nMüde\n".encode() + "Fièvre\n".encode("cp1252"),
            "utf-8",
            "(line 3) is not utf-8 text; 1 other lines with special letters are, so the file mixes",
        ),
        (TEXT.encode(), "latin-1", "line 2: records.encoding says latin-1, and the file is utf-8"),
        (TEXT.encode(), "cp1252", "set records.encoding: utf-8"),
        (b"id,text\na,x\n", "utf-16", "records.encoding says utf-16, and the file is not"),
        (TEXT.encode("utf-16-le"), "utf-8", "is utf-16-le text; set records.encoding: utf-16-le"),
        (TEXT.encode("utf-16-be"), "latin-1", "is utf-16-be text; set records.encoding: utf-16-be"),
        (b"id,text\na,x\nb,co\0ugh\n", "utf-8", "line 3: holds a zero byte"),
        (TEXT.encode(), "utf-9", "records.encoding names no known encoding"),
        (TEXT.encode(), "hex", "records.encoding names no known encoding"),
        (TEXT.encode(), "unicode_escape", "records.encoding names no known encoding"),
        (TEXT.encode(), "a\0b", "records.encoding names no known encoding"),
        (b"\x81\xff", "cp1252", "is not cp1252 text; name the right encoding"),
    ],
)
def test_the_cause_is_named(content: bytes, declared: str, said: str) -> None:
    assert said in refusal(content, declared)


@given(st.binary(max_size=60), st.sampled_from(["utf-8", "latin-1", "cp1252", "utf-16", "ascii"]))
def test_any_bytes_are_text_or_one_error(content: bytes, declared: str) -> None:
    try:
        text = read(content, declared)
    except DataError as error:
        assert "\n" not in str(error)
        return
    assert "\0" not in text.rstrip("\0\x1a\r\n")
