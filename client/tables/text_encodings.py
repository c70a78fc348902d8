"""A table's bytes to text; a wrong encoding that shows itself is told, never read as it is not."""

import codecs

from client.site import Table
from irene_model.errors import DataError

# A byte order mark says what the file is, whatever site.yaml says. UTF-32's begins as UTF-16's.
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_USUAL = "usual are utf-8, latin-1, cp1252 and utf-16"


def decoded(content: bytes, table: Table, key: str) -> str:
    """The text of `content`, without byte order mark; `key` is where site.yaml names the table.

    Raises:
        DataError: it is not text in the encoding of site.yaml, or shows to be in another.
    """
    shown = str(table.path)
    mark = next((mark for mark in _MARKS if content.startswith(mark)), b"")
    encoding = _MARKS[mark] if mark else table.encoding
    body = content[len(mark) :]
    if not mark:
        _refuse_misdeclared(body, _known(encoding, shown, key), table, key)
    try:
        text = body.decode(encoding)
    except UnicodeError as error:
        at = getattr(error, "start", 0)
        raise DataError(
            f"{shown}: byte {at + len(mark)} (line {_line(body, at)}) is not {encoding} text; "
            f"{_remedy(body, encoding, key)}"
        ) from None
    if "\0" in text.rstrip("\0\x1a\r\n"):
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(
            f"{shown} line {line}: holds a zero byte, which text never does; the file is damaged "
            "or was written by another program's fault: export it again"
        )
    return text


def _known(encoding: str, shown: str, key: str) -> str:
    try:
        info = codecs.lookup(encoding)
        "".encode(encoding)
    except (LookupError, ValueError):
        info = None
    if info is None or info.name in _NOT_OF_TABLES:
        raise DataError(f"{shown}: {key}.encoding names no known encoding; {_USUAL}")
    return info.name


# Python knows them as encodings of text; no export is in them.
_NOT_OF_TABLES = {
    *("idna", "punycode", "unicode-escape", "raw-unicode-escape", "utf-7", "undefined", "mbcs"),
    *("unicode_escape", "raw_unicode_escape"),
}


def _refuse_misdeclared(body: bytes, encoding: str, table: Table, key: str) -> None:
    """Refuse what would be decoded without an error, to other words."""
    shown, declared = table.path, f"{key}.encoding says {table.encoding}"
    zeros = body[:4000].count(0)
    if encoding.startswith(("utf-16", "utf-32")):
        if body and not zeros:
            raise DataError(
                f"{shown}: {declared}, and the file is not; leave it out for "
                "utf-8, or name the right one"
            )
        return
    if zeros > len(body[:4000]) // 3:  # every second byte of Latin letters in UTF-16
        order = "utf-16-be" if body[0] == 0 else "utf-16-le"
        raise DataError(f"{shown}: is {order} text; set {key}.encoding: {order}")
    if not encoding.startswith("utf-8") and not body.isascii() and _is_utf8(body):
        line = next(n for n, each in enumerate(body.split(b"\n"), 1) if not each.isascii())
        raise DataError(
            f"{shown} line {line}: {declared}, and the file is utf-8: its "
            f"special letters would become two wrong ones each; set {key}.encoding: utf-8"
        )


def _remedy(body: bytes, encoding: str, key: str) -> str:
    if codecs.lookup(encoding).name != "utf-8":
        return f"name the right encoding in {key}.encoding; {_USUAL}"
    special = [line for line in body.split(b"\n") if not line.isascii()]
    others = sum(map(_is_utf8, special))
    if others:
        return (
            f"{others} other lines with special letters are, so the file mixes encodings: were "
            "two exports put together? Save each as utf-8 first"
        )
    return (
        f"save the file as utf-8, or name its encoding (from Windows mostly cp1252) in "
        f"{key}.encoding"
    )


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _line(body: bytes, at: int) -> int:
    before = body[:at].replace(b"\r\n", b"\n")
    return before.count(b"\n") + before.count(b"\r") + 1
