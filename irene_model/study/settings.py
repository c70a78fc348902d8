"""The one reader of YAML configuration: study, site and scenario files all come through here.

Every file is a frozen pydantic model that forbids unknown keys. A mistake becomes one
`ConfigError` sentence that names the file, the key, what was expected and, for a misspelt key,
the likely intention. Values are shown only by kind: `site.yaml` may sit beside patients' files,
and habits are easier to keep than exceptions.
"""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from irene_model.errors import ConfigError
from irene_model.study.yaml_text import YamlError, load, read_yaml


class Settings(BaseModel):
    """Base of all configuration: immutable, keyword-only, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class GrownSettings(Settings):
    """Settings that came to have more keys: `later` ones are written only where they say something.

    So a study that does not use them keeps the fingerprint that it had before there were any.
    """

    later: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_what_is_not_asked(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        document: dict[str, Any] = plain(self)
        fields = type(self).model_fields
        usual = {key for key in self.later if getattr(self, key) == fields[key].default}
        return {key: value for key, value in document.items() if key not in usual}


AnySettings = TypeVar("AnySettings", bound=Settings)


def read_mapping(path: Path) -> dict[str, Any]:
    """The YAML mapping at `path`; a missing, unreadable or other-shaped file is a ConfigError."""
    document = read_yaml(path)
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: expected a mapping of keys to values at the top level")
    return document


def parse(kind: type[AnySettings], document: Mapping[str, Any], source: Path | str) -> AnySettings:
    """Validate `document` as `kind`; `source` is named in the error."""
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        problems = [_sentence(kind, problem) for problem in error.errors(include_url=False)]
        raise ConfigError(f"{source}: {'; '.join(dict.fromkeys(problems))}") from None


def read(kind: type[AnySettings], path: Path, overrides: Sequence[str] = ()) -> AnySettings:
    """Read `path` as `kind` after applying `key.subkey=value` overrides."""
    document = override(read_mapping(path), overrides)
    return parse(kind, document, path)


def override(document: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A copy of `document` with dotted `key=value` assignments applied; values are YAML."""
    result = _copied(document)
    for assignment in overrides:
        dotted, equals, text = assignment.partition("=")
        if not equals or not dotted.strip():
            raise ConfigError(f"--set {assignment}: expected key=value, as privacy.epsilon=4")
        try:
            value = load(text)
        except YamlError as error:
            raise ConfigError(f"--set {dotted}: the value {error}") from None
        *parents, last = dotted.strip().split(".")
        target = result
        for parent in parents:
            child = target.setdefault(parent, {})
            if not isinstance(child, dict):
                raise ConfigError(f"--set {dotted}: '{parent}' holds no further keys")
            target = child
        target[last] = value
    return result


def dump(settings: Settings) -> str:
    """YAML text that reads back as the same settings."""
    document = settings.model_dump(mode="json", exclude_none=True)
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def _copied(document: Mapping[str, Any]) -> dict[str, Any]:
    return {k: _copied(v) if isinstance(v, dict) else v for k, v in document.items()}


_EMPTY = "is empty; fill it or leave it out"
_PLAIN = {  # pydantic's kinds of problems, in words for people
    "string_type": "expected text; put it in quotes, as 'no' or '2'",
    "dict_type": "expected keys, each with its value, as `name: value`",
    "model_type": "expected keys, each with its value, as `name: value`",
    "missing": "is required",
}


def _sentence(kind: type[BaseModel], problem: Any) -> str:
    """One pydantic problem as `key: what was wrong`, without the offending value."""
    location = [str(part) for part in problem["loc"]]
    key = ".".join(location) or "the whole file"
    if problem["type"] == "extra_forbidden":
        close = difflib.get_close_matches(location[-1], _keys_at(kind, location[:-1]), n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        return f"{key}: unknown key{hint}"
    if problem["type"] in _PLAIN:
        empty = problem["input"] is None and problem["type"] in ("dict_type", "model_type")
        return f"{key}: {_EMPTY if empty else _PLAIN[problem['type']]}"
    if problem["type"] == "union_tag_not_found":
        return f"{key}: needs the key {problem['ctx']['discriminator']}"
    if problem["type"] == "union_tag_invalid":
        context = problem["ctx"]
        return f"{key}: {context['discriminator']} must be one of {context['expected_tags']}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{key}: {message[0].lower()}{message[1:]}"


def _keys_at(kind: type[BaseModel], location: Sequence[str]) -> list[str]:
    """Known keys of the nested model at `location`, for the suggestion."""
    current: Any = kind
    for part in location:
        field = current.model_fields.get(part) if hasattr(current, "model_fields") else None
        annotation = getattr(field, "annotation", None)
        nested = [annotation, *getattr(annotation, "__args__", ())]
        found = next((n for n in nested if isinstance(n, type) and issubclass(n, BaseModel)), None)
        if found is None:
            continue
        current = found
    return list(getattr(current, "model_fields", {}))
