"""The approval screen: no setting of a study is out of sight, also of those to come."""

import copy
import functools
import math
import operator
from collections.abc import Iterator
from io import StringIO
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import ValidationError
from rich.console import Console

from client.budget.outlook import look_ahead
from client.budget.study_view import settings, show_here, show_study, site_facts, study_facts
from client.consent.study_settings import plain
from client.ledger.ledger import Ledger
from irene_model.errors import ConfigError
from irene_model.study.settings import Settings
from irene_model.study.study import Study
from tests.helpers.hospital_folder import STUDY, HospitalFolder

Path_ = tuple[str | int, ...]
PANEL = {
    "name": "vitals", "unit": "1", "low": 0, "high": 2, "per_token": 1,
    "values": [{"name": "pulse", "unit": "/min", "low": 40, "high": 120}, "other"],
}  # fmt: skip
FULL: dict[str, Any] = {
    **STUDY,
    "labels": ["pneumonia", "death", "copd"],
    "panels": [PANEL],
    "evaluation": {"noise_multiplier": 2.0},
    "privacy": {"noise_multiplier": 1.0, "delta": 1e-3},
    "training": {"modality_dropout": {"panels": {"vitals": 0.1}}},
}
ENCODER = {"name": "a/b", "sha256": "0" * 64}


SUBSTANCE = {"molar_mass": 58.4, "charge": 1, "international_units": True}
SECURE = {"patients": 5000, "roster": {"members": [
    {"name": name, "node_key": f"{number}a" * 32, "mask_key": f"{number}b" * 32}
    for number, name in enumerate(("a", "b", "c", "d", "e"))
]}}  # fmt: skip
LAB = {"name": "salt", "loinc": "2951-2", "unit": "mmol/L", "low": 1, "high": 2, **SUBSTANCE}


def changed(document: dict[str, Any], **parts: dict[str, Any]) -> dict[str, Any]:
    return {**document, **{key: {**document.get(key, {}), **v} for key, v in parts.items()}}


# Not each setting can be changed alone in every study.
BASES = (
    FULL,
    changed(FULL, federation={"strategy": "fedprox", "proximal_mu": 0.1}),
    changed(FULL, federation={"late": {"discount": 0.5}}),
    changed(FULL, federation={"average_over": "sites"}),
    changed(
        FULL,
        text={"encoder": {"kind": "frozen", **ENCODER}},
        model={"linear_path": True, "num_bidirectional_layers": 1},
    ),
    changed(FULL, text={"vocabulary": "clinical", "windows": 2}),
    changed(FULL, image={"encoder": {"kind": "frozen", **ENCODER}, "width": 8}),
    changed(FULL, text={"encoder": {"kind": "tokenizer", **ENCODER, "vocab_size": 50}}),
    changed(FULL, training={"parameters": {"kind": "last_blocks", "blocks": 2}}),
    changed(FULL, training={"parameters": {"kind": "lora"}}),
    changed(
        {**FULL, "sounds": {"positions": ["left", "right"]}},
        training={"modality_dropout": {"sounds": 0.2}},
    ),
    {**FULL, "training": {}},
    {**FULL, "evaluation": {"noise_multiplier": 2.0, "start": True, "specificities": [0.8, 0.9]}},
    changed(
        FULL,
        training={"optimizer": "sgd"},
        federation={"local_steps": 1, "minimum_sites": 4, "strategy": "fedadam", "secure": SECURE},
    ),
    {**FULL, "labs": [LAB], "panels": [{**PANEL, "values": [{"name": "salt", **SUBSTANCE}, "x"]}]},
)


def leaves(value: Any, at: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from leaves(each, (*at, key))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for index, each in enumerate(value):
            yield from leaves(each, (*at, index))
    else:
        yield at, value


def literals(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [each for inner in get_args(annotation) for each in literals(inner)]


def classes(annotation: Any, seen: set[type[Settings]]) -> set[type[Settings]]:
    """All parts of the contract, by its types."""
    if _is_part(annotation) and annotation not in seen:
        seen.add(annotation)
        for field in annotation.model_fields.values():
            classes(field.annotation, seen)
    for inner in get_args(annotation):
        classes(inner, seen)
    return seen


def others(value: Any, possible: list[Any]) -> list[Any]:
    """Values that may be valid in the place of `value`."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, list):
        halves = [each // 2 if isinstance(each, int) else each for each in value]
        return [value[:-1], [*value, "another"], halves]
    found: list[Any] = [each for each in possible if each != value]
    if isinstance(value, int | float):
        found += [value + 1, value - 1, 2 * value, value / 2, value * 1.5, 0.25]
    if isinstance(value, str):
        found += [f"{value}x", "1" * 64, "9999-9"]
    if value is None:
        found += [1, 2, 8, 16, 0.5, 0.25]
    return found


def owner(study: Study, at: Path_) -> tuple[type[Settings], str] | None:
    """The innermost class of the path, and the field of it."""
    part: Any = study
    found = None
    for step in at:
        if isinstance(part, Settings):
            found = type(part), str(step)
        part = part[step] if isinstance(part, tuple | dict) else getattr(part, str(step))
    return found


def with_value(document: dict[str, Any], at: Path_, value: Any) -> dict[str, Any]:
    made = copy.deepcopy(document)
    target: Any = made
    for step in at[:-1]:
        target = target[step]
    target[at[-1]] = value
    return made


def text_of(study: Study) -> str:
    return "\n".join(f"{key} {value}" for key, value in settings(study).items())


def test_a_change_of_any_setting_changes_the_screen() -> None:
    """Every field of every class of the contract, found by its types: also those to come."""
    seen: set[tuple[type[Settings], str]] = set()
    for base in BASES:
        study = Study.model_validate(base)
        document = study.model_dump(mode="json")
        before = text_of(study)
        for at, value in leaves(document):
            where = owner(study, at)
            if where is None:
                continue
            annotation = where[0].model_fields[where[1]].annotation
            for other in others(value, literals(annotation)):
                try:
                    changed_study = Study.model_validate(with_value(document, at, other))
                except ValueError:
                    continue
                if changed_study.fingerprint != study.fingerprint:
                    assert text_of(changed_study) != before, (at, value, other)
                    seen.add(where)
    every = {
        (part, name) for part in classes(Study, set()) for name in part.model_fields
        if not any(_is_part(a) for a in _flat(part.model_fields[name].annotation))
    }  # fmt: skip
    # Of one value only, or (the encoder's) not to be changed alone: as in BASES, see below.
    alone = {
        "Privacy.unit", "LastBlocks.kind", "LowRank.kind", "TextEncoder.kind", "ImageEncoder.kind"
    }  # fmt: skip
    assert {f"{part.__name__}.{name}" for part, name in every - seen} == alone


def _flat(annotation: Any) -> Iterator[Any]:
    yield annotation
    for inner in get_args(annotation):
        yield from _flat(inner)


def _is_part(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Settings)


def test_lists_and_kinds_that_change_as_a_whole_change_the_screen() -> None:
    texts = {text_of(Study.model_validate(base)) for base in BASES}
    assert len(texts) == len(BASES)
    many = [{"name": f"G{n}", "unit": "1", "low": 0, "high": 1} for n in range(500)]
    long = {**FULL, "panels": [{**PANEL, "values": many}]}
    middle = copy.deepcopy(long)
    middle["panels"][0]["values"][250]["high"] = 2
    assert text_of(Study.model_validate(long)) != text_of(Study.model_validate(middle))
    assert len(text_of(Study.model_validate(long)).splitlines()) < 60
    fewer = {**FULL, "labs": FULL["labs"][:1]}
    assert text_of(Study.model_validate(fewer)) != text_of(Study.model_validate(FULL))


def printed(study: Study) -> str:
    console = Console(file=StringIO(), width=300)
    show_study(study, console)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_the_screen_prints_every_setting_and_what_it_costs() -> None:
    study = Study.model_validate(FULL)
    text = " ".join(printed(study).split())
    for key, value in study_facts(study).items():
        assert " ".join(f"{key} {value}".split()) in text
    facts = study_facts(study)
    assert facts["model"].startswith("irene, tiny: 1") and "parameters" in facts["model"]
    assert "4 steps in all" in facts["rounds"]
    assert "learning rate 0.001" in facts["a step"]
    assert "noise multiplier 2 each" in facts["evaluations"]


def test_two_studies_that_cost_differently_look_different() -> None:
    """Of the same preset, labels and privacy."""
    wide = changed(
        STUDY, model={"hidden_size": 32768, "intermediate_size": 131072},
        training={"learning_rate": 50.0}, evaluation={"noise_multiplier": 0.3},
        federation={"server_learning_rate": 9.0},
    )  # fmt: skip
    facts = study_facts(Study.model_validate(wide))
    assert "62,282,372,970 parameters" in facts["model"]
    assert facts["· federation.server_learning_rate"] == "9.0   (usual: 1.0)"
    assert facts["· model.hidden_size"] == "32768   (usual: 64)"


def test_a_study_can_not_write_to_the_terminal() -> None:
    """No text of a study may hold what a terminal obeys, and nothing is shown unescaped anyhow."""
    whole = Study.model_validate(STUDY).model_dump(mode="json")
    texts = [path for path, value in leaves(whole) if isinstance(value, str)]
    assert len(texts) > 10
    for path in texts:
        hostile = copy.deepcopy(whole)
        place = functools.reduce(operator.getitem, path[:-1], hostile)
        place[path[-1]] = "en\x1b[2J\u202e\n[red]all is well[/red]"
        with pytest.raises(ValidationError):
            Study.model_validate(hostile)
    assert plain("a\tb\x1b") == "a\\x09b\\x1b"


def test_sizes_that_make_no_model_are_one_sentence() -> None:
    odd = Study.model_validate(changed(STUDY, model={"hidden_size": 30}))
    with pytest.raises(ConfigError, match="must be a multiple of num_attention_heads"):
        study_facts(odd)
    huge = Study.model_validate(changed(STUDY, model={"hidden_size": 10**15}))
    with pytest.raises(ConfigError, match="its model has at least"):
        study_facts(huge)


def test_the_site_sees_training_and_evaluations_at_its_own_delta(hospital: HospitalFolder) -> None:
    hospital.configure("budget", {"epsilon": 12, "delta": 1.0e-5})
    hospital.configure("evaluation", {"noise_multiplier": 1.0}, "study.yaml")
    site, study = hospital.site, hospital.study
    ahead = look_ahead(site, study, 10)
    facts = site_facts(study, site, ahead)
    for what in ("training", "validation patients", "test patients"):
        assert "at your delta 1e-05" in facts[f"a whole run by itself, {what}"]
    assert set(ahead.alone) == {"train", "validation", "test"}
    largest = max(each.smallest for each in ahead.alone.values())
    assert ahead.after_all == pytest.approx(largest)
    assert facts["budget afterwards"] == (
        f"after the whole run, evaluations included: epsilon {largest:.2f} spent, "
        f"{12 - largest:.2f} left"
    )
    assert "GiB" in facts["memory"] and "0.4 to take part" in facts["a patient's chance"]
    mechanism = ahead.mechanism
    Ledger.of(site).reserve(run="other", round=1, mechanism=mechanism, clip_norm=1.0)
    assert look_ahead(site, study, 10).after_all > largest
    hospital.configure("budget", {"epsilon": largest - 0.1, "delta": 1.0e-5})
    facts = site_facts(study, hospital.site, look_ahead(hospital.site, study, 10))
    assert facts["budget afterwards"].startswith("NOT ALL OF IT FITS: ")
    console = Console(file=StringIO(), width=100)
    show_here(study, hospital.site, look_ahead(hospital.site, study, 10), console)
    assert not math.isinf(largest)
