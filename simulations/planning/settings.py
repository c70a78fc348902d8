"""Settings by dotted keys, as `--set` takes them: between values, text and a study."""

from collections.abc import Mapping
from typing import Any

import yaml

from irene_model.study import Study, override, parse


def text_of(value: Any) -> str:
    """A value as one line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6)
    return text.strip().removesuffix("...").strip()


def assignments(settings: Mapping[str, Any]) -> list[str]:
    """KEY=VALUE each."""
    return [f"{key}={text_of(value)}" for key, value in settings.items()]


def with_settings(study: Study, settings: Mapping[str, Any]) -> Study:
    """The study with other settings; ConfigError for what it can't have."""
    document = override(study.model_dump(mode="json"), assignments(settings))
    return parse(Study, document, "the proposal")


def value_at(document: Any, key: str) -> Any:
    """What stands at a dotted key; None where there is nothing."""
    for part in key.split("."):
        document = document.get(part) if isinstance(document, dict) else None
    return document


def changes(study: Study, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `settings` that the study has not already."""
    now = study.model_dump(mode="json")
    return {key: value for key, value in settings.items() if value_at(now, key) != value}
