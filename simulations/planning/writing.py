"""A file with a proposal in it, its comments kept; it is read back before it is there."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from irene_model.errors import ConfigError
from irene_model.study import Study, override, read_mapping
from simulations.hospitals import Scenario
from simulations.planning.rewriting import rewritten
from simulations.planning.settings import assignments

_BY_PATH = ("join", "start", "encoders")


def write_plan(
    source: Path, out: Path, settings: Mapping[str, Any], *, overrides: Sequence[str] = ()
) -> None:
    """Write `source` to `out` with the `settings` of its study, after `overrides` as `--set` takes.

    ConfigError for a file that is there already, for one in another folder whose paths would then
    point elsewhere, and where what was written does not read back as what was proposed.
    """
    if out.exists():
        raise ConfigError(f"{out}: is there already; name a new file")
    if not out.parent.is_dir():
        raise ConfigError(f"{out}: its folder does not exist; make it first")
    document = read_mapping(source)
    is_scenario = "study" in document
    if out.parent.resolve() != source.parent.resolve() and _has_paths(document):
        raise ConfigError(
            f"{out}: the paths in {source.name} are seen from its folder; write beside it"
        )
    given = override({}, overrides)  # only the keys: a mistake in them was told before
    wanted = {**_flat(given, overrides), **settings}
    if is_scenario:
        wanted = {
            key if key.partition(".")[0] in Scenario.model_fields else f"study.{key}": value
            for key, value in wanted.items()
        }
    try:
        text = rewritten(source.read_text(encoding="utf-8-sig"), wanted)
        read = yaml.safe_load(text)
    except (UnicodeDecodeError, yaml.YAMLError):
        read = None
    if read != override(document, assignments(wanted)):
        raise ConfigError(
            f"{source}: is written in a way that can't be changed in place; use the settings that "
            "are printed, with --set"
        )
    work = out.with_name(f"{out.name}.partial")
    work.write_text(text, encoding="utf-8")
    kind = Scenario if is_scenario else Study
    kind.read(work)
    work.replace(out)


def _flat(given: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Dotted key -> value of each of `overrides`, the last of equal ones."""
    found: dict[str, Any] = {}
    for assignment in overrides:
        key = assignment.partition("=")[0].strip()
        value: Any = given
        for part in key.split("."):
            value = value[part]
        found[key] = value
    return found


def _has_paths(document: Mapping[str, Any]) -> bool:
    study = document.get("study", document)
    secure = (study.get("federation") or {}).get("secure")
    named = isinstance(secure, dict) and isinstance(secure.get("roster"), str)
    values = any("values_file" in panel for panel in study.get("panels") or ())
    return named or values or any(document.get(key) for key in _BY_PATH)
