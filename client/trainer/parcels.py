"""What goes through the trainer's socket: plain values as JSON, then the bytes of arrays.

::

    length of the header, 8 bytes, big-endian | header, JSON | bytes of the first array | ...

The header says of each array its name, encoding, shape and length. Every length is bounded before
anything is read, and nothing is pickled.
"""

import json
import math
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from irene_model.errors import IreneError
from irene_model.study import Packed

_LENGTH = struct.Struct(">Q")
LONGEST_HEADER = 64 * 2**20
LONGEST_ARRAY = 8 * 2**30
MOST_ARRAYS = 100_000


class NoParcel(IreneError):  # noqa: N818  # a fact about what came
    """The other side went, or said what is no parcel."""


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """facts: what JSON can hold. arrays: as they travel."""

    facts: Mapping[str, Any] = field(repr=False)
    arrays: Mapping[str, Packed] = field(default_factory=dict, repr=False)


def send(peer: socket.socket, parcel: Parcel) -> None:
    """Write `parcel`; OSError where the other side is gone or too slow for the peer's timeout."""
    known = [
        [name, each.encoding, list(each.shape), len(each.data)]
        for name, each in parcel.arrays.items()
    ]
    header = json.dumps({"facts": dict(parcel.facts), "arrays": known}).encode()
    peer.sendall(_LENGTH.pack(len(header)) + header)
    for each in parcel.arrays.values():
        peer.sendall(each.data)


def receive(peer: socket.socket) -> Parcel:
    """Read one parcel.

    Raises NoParcel where the other side went or sends anything else, TimeoutError where it is
    silent for the peer's timeout.
    """
    with peer.makefile("rb") as file:
        (length,) = _LENGTH.unpack(_exactly(file, _LENGTH.size))
        if length > LONGEST_HEADER:
            raise NoParcel("a header is longer than any")
        try:
            header = json.loads(_exactly(file, length))
            facts, known = header["facts"], [_array(each) for each in header["arrays"]]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise NoParcel("a header is none") from None
        if not isinstance(facts, dict) or len(known) > MOST_ARRAYS:
            raise NoParcel("a header is none")
        arrays = {
            name: Packed(encoding=encoding, shape=shape, data=_exactly(file, length))
            for name, encoding, shape, length in known
        }
    return Parcel(facts=facts, arrays=arrays)


def _array(told: Any) -> tuple[str, str, tuple[int, ...], int]:
    """What a header says of one array; ValueError where that can't be."""
    name, encoding, shape, length = told
    sizes = tuple(shape)
    whole = all(type(each) is int and each >= 0 for each in (*sizes, length))
    if not (isinstance(name, str) and isinstance(encoding, str) and whole):
        raise ValueError
    if length > LONGEST_ARRAY or len(sizes) > 32 or math.prod(sizes) > 4 * LONGEST_ARRAY:
        raise ValueError
    return name, encoding, sizes, length


def _exactly(file: IO[bytes], length: int) -> bytes:
    found = file.read(length)
    if len(found) < length:
        raise NoParcel("the other side has gone")
    return found
