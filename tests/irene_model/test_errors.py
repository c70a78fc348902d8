"""What an error says is one line that may be shown, whatever a file called its columns."""

import pytest

from irene_model.errors import DataError, IreneError

PLAIN = "encounters.csv line 7, column 'größe': is text, expected a number (µg/L, …)"


@pytest.mark.parametrize("message", [PLAIN, "", "x" * 2000])
def test_an_ordinary_message_is_left_as_it_is(message: str) -> None:
    assert str(DataError(message)) == message


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\x1b[2Jb", "a [2Jb"),
        ("two\nlines", "two lines"),
        ("\u202eleft", " left"),
        ("\ud800", " "),
        ("x" * 100_000, "x" * 120 + "…"),
        ("{a: " * 100_000, "{a: {a: "),
    ],
)
def test_what_a_file_is_called_obeys_nobody_and_fills_no_log(name: str, shown: str) -> None:
    said = str(IreneError(f"column {name}"))
    assert said.startswith(f"column {shown}")
    assert said.isprintable() and len(said) <= 2001
    assert said.encode()
