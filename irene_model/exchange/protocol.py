"""Typed messages and their flat form: named arrays and a dictionary of plain values.

The flat form is what travels. Flower's records are made of it in the apps and the round loop, so
that messages and all that judges them can be tested without Flower. A message of the wrong form
is a ProtocolError that names the field, never its value.

Every field is bounded here, once, before anything reads it: numbers are finite and within what any
study could lead to, names and sentences have their alphabet and length (`irene_model.study.names`),
and a reply that gives nothing holds no arrays. What fits one study alone is judged by the server.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
)

from irene_model.errors import ProtocolError
from irene_model.study import (
    Encoding,
    Packed,
    bundled,
    one_line,
    pack,
    unbundled,
    unpack,
)

Array = npt.NDArray[Any]
Arrays = dict[str, Array]
Plain = str | int | float | bool
PROTOCOL = 7
WIRE_DTYPE = np.dtype(np.float32)


Fingerprint = Annotated[str, Field(pattern=r"^[0-9a-z]{0,64}$")]


@dataclass(frozen=True, kw_only=True)
class Flat:
    """What travels: arrays, in `encoding` where they are float32, and plain values."""

    arrays: Arrays
    values: dict[str, Plain]
    encoding: Encoding = "float32"

    def packed(self) -> dict[str, Packed]:
        """The arrays as bytes, all of them as one array for Flower (`irene_model.study.bundle`)."""
        return bundled({name: pack(array, self.encoding) for name, array in self.arrays.items()})

    @classmethod
    def unpacked(cls, packed: Mapping[str, Packed], values: dict[str, Plain]) -> "Flat":
        """The inverse of `packed`; a ProtocolError where bytes and shapes differ."""
        arrays = {name: unpack(each) for name, each in unbundled(packed)}
        return cls(arrays=arrays, values=values)


class Message(BaseModel):
    """Plain fields, checked strictly, and `arrays`, which travel in the encoding `wire`."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True
    )
    kind: ClassVar[str]
    arrays: Arrays = Field(default_factory=dict, repr=False)
    wire: Encoding = "float32"

    def to_flat(self) -> Flat:
        """The travelling form."""
        fields = self.model_dump(exclude={"arrays"}, warnings=False)  # judged where it is read
        values = {"kind": self.kind, "protocol": PROTOCOL, **fields}
        return Flat(arrays=self.arrays, values=values, encoding=self.wire)

    @classmethod
    def from_flat(cls, flat: Flat) -> Self:
        """Read the travelling form; a missing, unknown or ill-typed field is a ProtocolError."""
        values = dict(flat.values)
        if values.pop("protocol", None) != PROTOCOL:
            raise ProtocolError(f"the other side does not speak protocol {PROTOCOL}")
        if values.pop("kind", None) != cls.kind:
            raise ProtocolError(f"expected a message of kind '{cls.kind}'")
        try:
            return cls.model_validate({**values, "arrays": flat.arrays})
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            field = one_line(".".join(str(part) for part in problem["loc"]), 80)
            said = problem["type"]
            if said == "value_error":  # a sentence of ours
                said = problem["msg"].removeprefix("Value error, ")
            raise ProtocolError(f"{cls.kind}: field '{field or 'outcome'}': {said}") from None


def check_update(update: Mapping[str, Array], like: Mapping[str, Array]) -> None:
    """Refuse an update with a missing or unknown name, a wrong shape or dtype, or a NaN."""
    odd = sorted(set(update) ^ set(like))
    if odd:
        state = "unknown" if odd[0] in update else "missing"
        raise ProtocolError(f"the update's array '{one_line(odd[0], 80)}' is {state}")
    for name, array in update.items():
        if array.shape != like[name].shape:
            raise ProtocolError(
                f"the update's array '{name}' has shape {array.shape}, not {like[name].shape}"
            )
        if array.dtype != WIRE_DTYPE:
            raise ProtocolError(f"the update's array '{name}' is {array.dtype}, not {WIRE_DTYPE}")
        if not np.isfinite(array).all():
            raise ProtocolError(f"the update's array '{name}' holds a value that is not finite")
