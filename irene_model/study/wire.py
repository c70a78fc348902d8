"""How arrays travel: raw little-endian bytes in one of four encodings, judged before allocation.

Nothing here costs privacy: an update is rounded after its noise was added, before the ledger keeps
it, so that the kept bytes and the ones that travel say the same.

`int8` gives each row of a table (its first axis) a power of two as its unit: 127 units reach the
row's largest value. A value so rounded is rounded to itself again. Vectors, as biases and norms,
are few and travel as bfloat16 then.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from irene_model.errors import ProtocolError

Encoding = Literal["float32", "bfloat16", "float16", "int8"]
STYPE = "irene"  # how Flower's arrays name these bytes
Array = npt.NDArray[Any]
ENCODINGS: tuple[Encoding, ...] = ("float32", "bfloat16", "float16", "int8")
PLAIN = ("int8", "uint32", "int64", "float64")  # of an array that is no float32: as it is
_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 1}
_BYTES |= {f"plain {name}": np.dtype(name).itemsize for name in PLAIN}
_LARGEST_FLOAT16 = 65504.0


@dataclass(frozen=True, kw_only=True)
class Packed:
    """One array on its way: `data` is all its values, after the rows' exponents for int8."""

    encoding: str
    shape: tuple[int, ...]
    data: bytes


def pack(array: Array, encoding: Encoding) -> Packed:
    """`array` as it travels: float32 in `encoding`, float16 cut at its largest value.

    What is not float32, as the counts of an evaluation, travels as it is.
    """
    if array.dtype != np.float32:
        if array.dtype.name not in PLAIN:
            raise ProtocolError(f"an array of {array.dtype.name} has no way to travel")
        data = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
        return Packed(encoding=f"plain {array.dtype.name}", shape=array.shape, data=data)
    values = np.ascontiguousarray(array, dtype="<f4")
    encoding = _own(encoding, array.shape)
    match encoding:
        case "float32":
            data = values.tobytes()
        case "bfloat16":
            data = _to_bfloat16(values).tobytes()
        case "float16":
            data = np.clip(values, -_LARGEST_FLOAT16, _LARGEST_FLOAT16).astype("<f2").tobytes()
        case "int8":
            data = _to_int8(values)
    return Packed(encoding=encoding, shape=array.shape, data=data)


def unpack(packed: Packed) -> Array:
    """The array; a ProtocolError where the bytes are not those of its shape.

    The size is compared before anything is allocated, and no encoding holds more than four values
    a byte of what has already arrived.
    """
    if len(packed.data) != packed_bytes(packed.encoding, packed.shape):
        raise ProtocolError("an array's bytes are not as many as its shape and encoding say")
    count = math.prod(packed.shape)
    rows = _rows(packed.shape) if packed.encoding == "int8" else 0
    match packed.encoding:
        case "float32":
            flat = np.frombuffer(packed.data, "<f4").astype(np.float32)
        case "bfloat16":
            words = np.frombuffer(packed.data, "<u2").astype(np.uint32) << 16
            flat = words.view(np.float32)
        case "float16":
            flat = np.frombuffer(packed.data, "<f2").astype(np.float32)
        case "int8":
            exponents = np.frombuffer(packed.data[:rows], np.int8)
            codes = np.frombuffer(packed.data[rows:], np.int8).reshape(rows, count // max(rows, 1))
            flat = np.ldexp(codes.astype(np.float32), exponents.astype(np.int32)[:, None]).ravel()
        case plain:
            kind = np.dtype(plain.removeprefix("plain "))
            flat = np.frombuffer(packed.data, kind.newbyteorder("<")).astype(kind)
    return flat.reshape(packed.shape)


def packed_bytes(encoding: str, shape: tuple[int, ...]) -> int:
    """Bytes of one array as it travels; a ProtocolError for what is no encoding or no shape."""
    width = _BYTES.get(encoding)
    if width is None:
        raise ProtocolError("an array travels in an encoding that is unknown here")
    if any(side < 0 for side in shape) or len(shape) > 32:
        raise ProtocolError("an array has an impossible shape")
    return math.prod(shape) * width + (_rows(shape) if encoding == "int8" else 0)


def rounded(arrays: Mapping[str, Array], encoding: Encoding) -> dict[str, Array]:
    """What the other side will read: float32 arrays that `encoding` holds exactly."""
    if encoding == "float32":
        return dict(arrays)
    return {name: unpack(pack(array, encoding)) for name, array in arrays.items()}


def travelling_bytes(arrays: Mapping[str, Array], encoding: Encoding) -> int:
    """Bytes of `arrays` on the wire, without Flower's own headers."""
    return sum(shape_bytes(array.shape, encoding) for array in arrays.values())


def shape_bytes(shape: tuple[int, ...], encoding: Encoding) -> int:
    """Bytes of one array of `shape` on the wire."""
    own = _own(encoding, shape)
    return math.prod(shape) * _BYTES[own] + (_rows(shape) if own == "int8" else 0)


def _own(encoding: Encoding, shape: tuple[int, ...]) -> Encoding:
    """The encoding of one array of `shape` where all are asked to travel in `encoding`."""
    return "bfloat16" if encoding == "int8" and len(shape) < 2 else encoding


def _rows(shape: tuple[int, ...]) -> int:
    return shape[0] if len(shape) > 1 and 0 not in shape else 0


def _to_bfloat16(values: Array) -> Array:
    """The upper half of each float32, rounded to nearest, ties to even; NaN stays NaN."""
    bits = values.view(np.uint32)
    up = ((bits >> 16) & 1) + np.uint32(0x7FFF)
    words = ((bits + up) >> 16).astype("<u2")
    largest = np.float32(3.3895314e38)  # rounding up must not make an infinity
    words = np.where(np.isfinite(values) & (np.abs(values) > largest), _cut(values), words)
    return np.where(np.isnan(values), np.uint16(0x7FC0), words).astype("<u2")


def _cut(values: Array) -> Array:
    return (np.sign(values) < 0).astype(np.uint16) * np.uint16(0x8000) + np.uint16(0x7F7F)


def _to_int8(values: Array) -> bytes:
    rows = _rows(values.shape)
    if not rows:
        return b""
    table = values.reshape(rows, -1)
    largest = np.abs(table).max(axis=1).astype(np.float64) / 127
    if not np.isfinite(largest).all():
        raise ValueError("an array with a value that is not finite can't travel as int8")
    exponents = np.ceil(np.log2(np.maximum(largest, 2.0**-120))).clip(-120, 120).astype(np.int8)
    units = np.ldexp(1.0, exponents.astype(np.int32))[:, None]
    codes = np.rint(table / units).clip(-127, 127).astype(np.int8)
    return bytes(exponents.tobytes() + codes.tobytes())
