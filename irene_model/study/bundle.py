"""All arrays of a message as one, for Flower keeps and sends each array by itself.

A model of a hundred arrays was three hundred objects of Flower's, each of them a request and a
row of the SuperLink's database, for each site and direction: most of what a round of a small model
cost. Here names, encodings and shapes stand before the values of all, and nothing of it is believed
until it is compared with the bytes that came.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from irene_model.errors import ProtocolError
from irene_model.study.wire import Packed, packed_bytes

BUNDLE = "bundle"
"""The name of the one array, and its encoding."""

_LENGTH = struct.Struct("<Q")
_Side = Annotated[int, Field(ge=0, lt=2**48)]
_Index = TypeAdapter(
    list[
        tuple[
            Annotated[str, Field(max_length=1000)],
            Annotated[str, Field(max_length=40)],
            Annotated[tuple[_Side, ...], Field(max_length=32)],
        ]
    ]
)


def bundled(arrays: Mapping[str, Packed]) -> dict[str, Packed]:
    """`arrays` as one; none where there are none."""
    if not arrays:
        return {}
    index = json.dumps([[name, each.encoding, each.shape] for name, each in arrays.items()])
    head = index.encode()
    data = b"".join([_LENGTH.pack(len(head)), head, *(each.data for each in arrays.values())])
    return {BUNDLE: Packed(encoding=BUNDLE, shape=(len(data),), data=data)}


def unbundled(packed: Mapping[str, Packed]) -> Iterator[tuple[str, Packed]]:
    """The inverse of `bundled`, one array in memory at a time.

    Raises ProtocolError, at the last after the last array, where the bytes are not those of the
    names, encodings and shapes.
    """
    if not packed:
        return
    if set(packed) != {BUNDLE} or packed[BUNDLE].encoding != BUNDLE:
        raise ProtocolError("the arrays do not travel as one bundle")
    data = memoryview(packed[BUNDLE].data)
    if len(data) < _LENGTH.size or packed[BUNDLE].shape != (len(data),):
        raise ProtocolError("the bundle of arrays is not as long as it says")
    (length,) = _LENGTH.unpack(data[: _LENGTH.size])
    start = _LENGTH.size + length
    if start > len(data):
        raise ProtocolError("the bundle of arrays ends within its index")
    try:
        index = _Index.validate_json(bytes(data[_LENGTH.size : start]), strict=True)
    except ValidationError:
        raise ProtocolError("the index of the bundle of arrays can't be read") from None
    if len({name for name, _, _ in index}) != len(index):
        raise ProtocolError("the bundle of arrays names one twice")
    for name, encoding, shape in index:
        end = start + packed_bytes(encoding, shape)
        if end > len(data):
            raise ProtocolError("the bundle of arrays holds less than its index says")
        yield name, Packed(encoding=encoding, shape=shape, data=bytes(data[start:end]))
        start = end
    if start != len(data):
        raise ProtocolError("the bundle of arrays holds more than its index says")
