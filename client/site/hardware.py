"""The part of site.yaml that says on what the site trains: its devices, and their memory."""

import re
from typing import Annotated, Any, Literal

from pydantic import PlainSerializer, PlainValidator

from irene_model.study import Settings

_ONE = re.compile(r"auto|cpu|cuda(:(0|[1-9]\d?))?", re.ASCII)
_OF_SEVERAL = re.compile(r"cpu|cuda:(0|[1-9]\d?)", re.ASCII)
_MOST = 16
_EXPECTED = "expected auto, cpu, cuda, one GPU as cuda:1, or several as [cuda:0, cuda:1]"
ON_CPU = 32
"""`micro_batch: auto` on a processor: docs/hospital.md says how it was measured."""


def _devices(given: Any) -> tuple[str, ...]:
    if isinstance(given, str):
        given = (given,)
        known = _ONE
    else:
        known = _OF_SEVERAL
    if not isinstance(given, list | tuple) or not all(isinstance(each, str) for each in given):
        raise ValueError(_EXPECTED)
    names = tuple(given)
    if not 1 <= len(names) <= _MOST:
        raise ValueError(f"names {len(names)} devices, expected 1 to {_MOST}")
    if not all(known.fullmatch(each) for each in names):
        raise ValueError(_EXPECTED)
    if "cpu" in names and set(names) != {"cpu"}:
        raise ValueError("names processor and GPU together; a step waits for its slowest device")
    if "cpu" not in names and len(set(names)) < len(names):
        raise ValueError("names a GPU twice; name each once")
    return names


def _as_written(devices: tuple[str, ...]) -> str | list[str]:
    return devices[0] if len(devices) == 1 else list(devices)


def _micro_batch(given: Any) -> int | Literal["auto"]:
    if given == "auto":
        return "auto"
    if type(given) is not int or given < 1:
        raise ValueError("expected a number of patients, at least 1, or auto")
    return given


MicroBatch = Annotated[int | Literal["auto"], PlainValidator(_micro_batch)]
Devices = Annotated[tuple[str, ...], PlainValidator(_devices), PlainSerializer(_as_written)]


class Memory(Settings):
    """What the site gives up in time to train in little memory.

    The result is the same but for rounding, and for which units dropout draws.
    `micro_batch` patients are held at a time, on each device: so many, or with `auto` as many as
    fit, which is found by trying once a study. With `gradient_checkpointing` the inputs of each
    block are kept and the rest is computed again: 1.4 times the time.
    """

    micro_batch: MicroBatch = 128
    gradient_checkpointing: bool = False

    @property
    def usual_micro_batch(self) -> int:
        """`micro_batch`, where nothing is tried: of `auto` what suits a processor."""
        return ON_CPU if self.micro_batch == "auto" else self.micro_batch
