"""Ways to break a file, of any bytes and of text, each drawn from a random source."""

import re
from collections.abc import Callable, Sequence
from random import Random

Mutation = Callable[[bytes, Random], bytes]
_HUGE = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00" * 4, b"\x80" * 4)
_NUMBERS = ("9" * 400, "9" * 6000, "-1", "1e999", "-1e308", "0", "NaN", "1e-400", "0x10", "١٢")
_TOKENS = (
    *("", "null", "~", "[", "]", "{", "}", "&a", "*a", "<<: *a", "!!binary x", "'", '"', "|", ">"),
    *("!!python/object/apply:os.getcwd []", "true", "off", "-", ": ", "#", "%", "@", "`", "? "),
    *("\0", "\x1b[2J", "\u202e", "\ud800", "\r", "\n\n", "\t", ",", ";", "../../etc/passwd", "/"),
    *("2024-02-30", "99:99:99", "1_000", "0o17", ".inf", "é" * 300, "x" * 100_000, "\\", "$(id)"),
)


def flipped(content: bytes, rng: Random) -> bytes:
    """Some bits are the other way round."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 3, 30)) if changed else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut_off(content: bytes, rng: Random) -> bytes:
    """Only a beginning is there."""
    return content[: rng.randrange(len(content) + 1)]


def lacking(content: bytes, rng: Random) -> bytes:
    """A piece is missing."""
    start, end = _piece(content, rng)
    return content[:start] + content[end:]


def repeated(content: bytes, rng: Random) -> bytes:
    """A piece stands there many times."""
    start, end = _piece(content, rng)
    times = rng.choice((2, 2, 9, 500))
    return content[:start] + content[start : min(end, start + 2000)] * times + content[end:]


def with_noise(content: bytes, rng: Random) -> bytes:
    """Random bytes stand in for a piece."""
    start, end = _piece(content, rng)
    return content[:start] + rng.randbytes(rng.choice((1, 8, 300))) + content[end:]


def with_huge_length(content: bytes, rng: Random) -> bytes:
    """Four bytes, which may be a length, are as large or as small as they get."""
    at = rng.randrange(max(1, min(len(content), rng.choice((64, 2000, 1 << 30)))))
    return content[:at] + rng.choice(_HUGE)[: rng.choice((2, 4))] + content[at + 4 :]


def only_begun(content: bytes, rng: Random) -> bytes:
    """Noise behind the right beginning."""
    return content[: rng.choice((4, 8, 16, 132, 200))] + rng.randbytes(rng.choice((10, 5000)))


def spliced(other: bytes) -> Mutation:
    """The beginning of one and the end of the other."""

    def mutation(content: bytes, rng: Random) -> bytes:
        start, end = rng.randrange(len(other) + 1), rng.randrange(len(content) + 1)
        if rng.random() < 0.5:
            return other[: min(start, 300)] + content[end:]
        return content[:end] + other[start:]

    return mutation


def with_other_number(content: bytes, rng: Random) -> bytes:
    """A number is another one."""
    return _replaced(content, rng, rb"-?\d+(\.\d+)?", _NUMBERS)


def with_other_word(content: bytes, rng: Random) -> bytes:
    """A word is something that means more than it says."""
    return _replaced(content, rng, rb"[\w.]+", _TOKENS)


def with_other_sign(content: bytes, rng: Random) -> bytes:
    """A sign between words is another one."""
    return _replaced(content, rng, rb"[^\w]", _TOKENS)


def deeply_nested(content: bytes, rng: Random) -> bytes:
    """A word is a list of lists, or a mapping of mappings, without end."""
    depth = rng.choice((20, 900, 1100, 100_000))
    opens, closes = rng.choice(
        (("[", "]"), ('{"a":', "}"), ("{a: ", "}"), ("- ", ""), ("((", "))"))
    )
    return _replaced(
        content, rng, rb"[\w.]+", (opens * depth + "1" + closes * depth, opens * depth)
    )


ANY: Sequence[Mutation] = (
    *(flipped, cut_off, lacking, repeated, with_noise, with_huge_length, only_begun),
)
TEXT: Sequence[Mutation] = (
    *(*ANY, with_other_number, with_other_word, with_other_sign, deeply_nested),
    *(with_other_number, with_other_word),
)


def _piece(content: bytes, rng: Random) -> tuple[int, int]:
    start = rng.randrange(len(content) + 1)
    return start, min(len(content), start + rng.choice((1, 4, 40, 4000)))


def _replaced(content: bytes, rng: Random, form: bytes, others: Sequence[str]) -> bytes:
    found = [*re.finditer(form, content)]
    if not found:
        return content
    match = rng.choice(found)
    other = rng.choice(others).encode("utf-8", "surrogatepass")
    return content[: match.start()] + other + content[match.end() :]
