"""Every setting of a study that is not the usual one, by a walk over the contract itself.

No list of fields is kept here: what a later release adds to the contract appears by itself, and no
two studies that differ look the same. Text of others is shown without what a terminal would act on.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo

from irene_model.network import PRESETS
from irene_model.study import ModelShape, Settings, Study

_MOST_ROWS = 40  # of a list; a longer one is shown by its ends, its length and its hash
_LONGEST = 200  # characters of one value
_NOT_GIVEN = object()


@dataclass(frozen=True, kw_only=True)
class Setting:
    """key: as in study.yaml, dotted. usual: what holds where a study says nothing, if anything."""

    key: str
    value: str
    usual: str = ""

    @property
    def shown(self) -> str:
        """The value, and beside it the usual one."""
        return f"{self.value}   (usual: {self.usual})" if self.usual else self.value


def unusual(study: Study) -> list[Setting]:
    """What `study` sets otherwise than a study that says nothing, and all that each has to set."""
    return list(_of_settings(study, ""))


def _of_settings(settings: Settings, prefix: str) -> Iterator[Setting]:
    for name, field in type(settings).model_fields.items():
        value, key = getattr(settings, name), f"{prefix}{name}"
        usual = _usual(settings, name, field)
        if value != usual:
            yield from _of_value(value, usual, key)


def _of_value(value: Any, usual: Any, key: str) -> Iterator[Setting]:
    match value:
        case Settings():
            found = list(_of_settings(value, f"{key}."))
            # One of another kind than the usual may have no setting of its own that differs.
            yield from found or [Setting(key=key, value=type(value).__name__)]
        case Mapping() if value:
            for each, inner in sorted(value.items()):
                yield from _of_value(inner, _NOT_GIVEN, f"{key}.{plain(each)}")
        case tuple() if value and all(isinstance(each, Settings) for each in value):
            yield from _of_items(value, key)
        case _:
            yield Setting(key=key, value=_text(value), usual=_text(usual))


def _of_items(items: tuple[Settings, ...], key: str) -> Iterator[Setting]:
    shown = items
    if len(items) > _MOST_ROWS:
        every = [each.model_dump() for each in items]
        yield Setting(key=key, value=f"{len(items)}, sha256 {_digest(every)}; of them:")
        shown = (*items[:3], items[-1])
    for item in shown:
        name = plain(str(getattr(item, "name", "")))
        fields = {field: getattr(item, field) for field in type(item).model_fields}
        scalars = [
            f"{field} {_text(each)}" for field, each in fields.items()
            if field != "name" and not isinstance(each, tuple)
        ]  # fmt: skip
        yield Setting(key=f"{key}.{name}", value=", ".join(scalars))
        for field, each in fields.items():
            if isinstance(each, tuple):
                yield from _of_value(each, _NOT_GIVEN, f"{key}.{name}.{field}")


def _usual(settings: Settings, name: str, field: FieldInfo) -> Any:
    if field.is_required():
        return _NOT_GIVEN
    usual = field.get_default(call_default_factory=True)
    if isinstance(settings, ModelShape) and usual is None:  # replaces what the preset has
        given = getattr(settings, name)
        return usual if given is None else PRESETS[settings.preset].get(name, usual)
    return usual


def _text(value: Any) -> str:
    if value is _NOT_GIVEN:
        return ""
    if isinstance(value, tuple):
        text = ", ".join(_text(each) for each in value[:_MOST_ROWS]) or "none"
        more = len(value) > _MOST_ROWS
        return f"{text}, … {len(value)}, sha256 {_digest(value)}" if more else text
    if value is None:
        return "none"
    text = plain(str(value))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… sha256 {_digest(value)}"


def plain(text: str) -> str:
    """`text` of others without what a terminal acts on: control, direction and blank tricks."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _digest(value: Any) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]
