"""What a hospital chooses about an import: which images, what makes a label, how near is near."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from client.site import LabelColumn
from irene_model.errors import ConfigError
from irene_model.study import Settings, SiteName, Study, parse, read_mapping

_DIGITS = re.compile(r"\d{1,18}", re.ASCII)
Codes = tuple[str, ...]


class Choices(Settings):
    """All of them.

    site: its name. records: what makes a record. days: beside what is of a record's visit, what is
    of its patient and so near belongs to it. modalities, body_parts: of other images no record is
    made; one that does not say is kept. labels: the study's label -> codes. complaints: kinds of
    notes that are the complaint.
    """

    site: SiteName
    records: Literal["images", "visits"] = "images"
    days: float = Field(default=7.0, ge=0, le=36_500)
    modalities: tuple[str, ...] = ("CR", "DX", "DR", "RG")
    body_parts: tuple[str, ...] = ()
    labels: dict[str, Codes] = Field(default_factory=dict)
    complaints: tuple[str, ...] = ()

    @field_validator("modalities")
    @classmethod
    def _in_capitals(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(word.strip().upper() for word in words)

    def wants(self, modality: str, body_part: str) -> str:
        """Why an image is not wanted; empty if it is."""
        of = set(filter(None, re.split(r"[/\\, ]+", modality.upper())))
        if of and self.modalities and of.isdisjoint(self.modalities):
            return "of another modality"
        said = body_part.casefold()
        if said and self.body_parts and not any(p.casefold() in said for p in self.body_parts):
            return "of another part of the body"
        return ""


def read_labels(given: Sequence[str], file: Path | None, study: Study) -> Mapping[str, Codes]:
    """`--label NAME=CODE,CODE` and the mapping in a file, NAME -> list of codes, as one.

    Codes are of ICD-10, or numbers: of SNOMED CT in FHIR, of concepts in OMOP.

    Raises:
        ConfigError: no label of the study, no codes, or both kinds for one label.
    """
    found: dict[str, list[str]] = {}
    for option in given:
        name, equals, codes = option.rpartition("=")
        if not equals:
            raise ConfigError(f"--label {option}: expected NAME=CODES, as pneumonia=J18,J15.9")
        found.setdefault(name.strip(), []).extend(codes.split(","))
    if file is not None:
        for name, listed in read_mapping(file).items():
            codes_of = listed if isinstance(listed, list) else [listed]
            if not isinstance(name, str) or isinstance(listed, dict):
                raise ConfigError(f"{file}: expected labels, each with a list of codes")
            found.setdefault(name, []).extend(map(str, codes_of))
    labels = {}
    for name, written in found.items():
        if name not in study.labels:
            raise ConfigError(
                f"--label {name}: the study has no such label; it has {', '.join(study.labels)}"
            )
        listed_codes = tuple(dict.fromkeys(code.strip() for code in written if code.strip()))
        if not listed_codes:
            raise ConfigError(f"--label {name}: names no code")
        if not all_numbers(listed_codes):
            if any(_DIGITS.fullmatch(code) for code in listed_codes):
                raise ConfigError(f"--label {name}: give ICD-10 codes or numbers, not both")
            parse(LabelColumn, {"column": "icd10", "icd10": listed_codes}, f"--label {name}")
        labels[name] = listed_codes
    return labels


def all_numbers(codes: Codes) -> bool:
    """Whether codes are of SNOMED CT or OMOP's concepts, and not of ICD-10."""
    return all(_DIGITS.fullmatch(code) for code in codes)
