"""The six resources of FHIR R4 that are read, and of each only what a record is made of.

Bounded models: a field that is longer, or of another kind, than R4 allows is refused by name. The
pydantic models of whole FHIR would parse a hundred fields to read ten.
"""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from client.sources.history import MOST_TEXT

Short = Annotated[str, StringConstraints(max_length=4096)]
Code = Annotated[str, StringConstraints(max_length=256)]
Id = Annotated[str, StringConstraints(max_length=128, pattern=r"^[^\s\x00-\x1f]+$")]
Reference = Annotated[str, StringConstraints(max_length=2048)]
_Base64 = Annotated[str, StringConstraints(max_length=4 * MOST_TEXT * 4)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, document: Any) -> Any:
        if isinstance(document, dict) and None in document.values():
            return {name: value for name, value in document.items() if value is not None}
        return document


class Sign(_Part):
    """A code alone."""

    code: Code = ""


class Extension(_Part):
    """What a country adds; of Germany's ICD-10 how sure a code is."""

    url: Short = ""
    valueCoding: Sign = Sign()  # noqa: N815  # FHIR's names


class Coding(_Part):
    """One code of one vocabulary."""

    system: Short = ""
    code: Code = ""
    display: Short = ""
    extension: list[Extension] = Field(default_factory=list, max_length=100)


class Concept(_Part):
    """A CodeableConcept: the same in several vocabularies, or in words."""

    coding: list[Coding] = Field(default_factory=list, max_length=100)
    text: Annotated[str, StringConstraints(max_length=MOST_TEXT)] = ""


class Link(_Part):
    """A reference to another resource, by its text; never followed."""

    reference: Reference = ""


class Quantity(_Part):
    """A number with its unit."""

    value: float | None = None
    comparator: Code = ""
    unit: Short = ""
    system: Short = ""
    code: Code = ""


class Period(_Part):
    """From when on."""

    start: Code = ""


class _Resource(_Part):
    id: Id | None = None


class OtherPatient(_Part):
    """Another resource of the same person."""

    other: Link


class Patient(_Resource):
    """Who it is: nothing but sex and date of birth is read."""

    gender: Code = ""
    birthDate: Code = ""  # noqa: N815
    link: list[OtherPatient] = Field(default_factory=list, max_length=100)


class _Event(_Resource):
    status: Code = ""
    subject: Link = Link()
    encounter: Link = Link()


class Encounter(_Event):
    """A visit, and why the patient came."""

    period: Period = Period()
    reasonCode: list[Concept] = Field(default_factory=list, max_length=100)  # noqa: N815


class Value(_Part):
    """What was measured: an Observation's, or that of one of its components."""

    code: Concept = Concept()
    valueQuantity: Quantity | None = None  # noqa: N815
    valueCodeableConcept: Concept | None = None  # noqa: N815
    valueString: Annotated[str, StringConstraints(max_length=MOST_TEXT)] | None = None  # noqa: N815
    valueInteger: int | None = None  # noqa: N815


class Observation(_Event, Value):
    """Values of one time."""

    effectiveDateTime: Code = ""  # noqa: N815
    effectiveInstant: Code = ""  # noqa: N815
    effectivePeriod: Period = Period()  # noqa: N815
    issued: Code = ""
    component: list[Value] = Field(default_factory=list, max_length=1000)


class Attachment(_Part):
    """A document; `url` is where it lies elsewhere, which nobody looks up."""

    contentType: Code = ""  # noqa: N815
    data: _Base64 = ""
    url: Reference = ""


class DiagnosticReport(_Event):
    """A report: its words, and what it concludes."""

    code: Concept = Concept()
    effectiveDateTime: Code = ""  # noqa: N815
    effectivePeriod: Period = Period()  # noqa: N815
    issued: Code = ""
    conclusion: Annotated[str, StringConstraints(max_length=MOST_TEXT)] = ""
    conclusionCode: list[Concept] = Field(default_factory=list, max_length=100)  # noqa: N815
    presentedForm: list[Attachment] = Field(default_factory=list, max_length=50)  # noqa: N815


class Instance(_Part):
    """An image."""

    uid: Code = ""


class Series(_Part):
    """Images of one kind."""

    uid: Code = ""
    modality: Coding = Coding()
    bodySite: Coding = Coding()  # noqa: N815
    instance: list[Instance] = Field(default_factory=list, max_length=10_000)


class Identifier(_Part):
    """A business identifier, as a study's UID or accession number."""

    value: Code = ""


class ImagingStudy(_Event):
    """A study of images; the images themselves lie elsewhere."""

    started: Code = ""
    modality: list[Coding] = Field(default_factory=list, max_length=100)
    identifier: list[Identifier] = Field(default_factory=list, max_length=100)
    series: list[Series] = Field(default_factory=list, max_length=1000)


class Condition(_Event):
    """A diagnosis, and how sure it is."""

    verificationStatus: Concept = Concept()  # noqa: N815
    code: Concept = Concept()
    onsetDateTime: Code = ""  # noqa: N815
    onsetPeriod: Period = Period()  # noqa: N815
    recordedDate: Code = ""  # noqa: N815


Resource = Patient | Encounter | Observation | DiagnosticReport | ImagingStudy | Condition
KINDS: dict[str, type[Resource]] = {
    kind.__name__: kind
    for kind in (Patient, Encounter, Observation, DiagnosticReport, ImagingStudy, Condition)
}
_Release = Literal["DSTU2 or STU3", "STU3", "STU3 or R5", "R5"]
# What only another release writes: (resource, field, kind of its value) -> the release.
_SIGNS: tuple[tuple[str, str, type, _Release], ...] = (
    ("Condition", "clinicalStatus", str, "DSTU2 or STU3"),
    ("Condition", "verificationStatus", str, "DSTU2 or STU3"),
    ("Patient", "animal", object, "DSTU2 or STU3"),
    ("Encounter", "reason", list, "STU3 or R5"),
    ("Encounter", "class", list, "R5"),
    ("Encounter", "actualPeriod", object, "R5"),
    ("Observation", "context", object, "STU3"),
    ("DiagnosticReport", "context", object, "STU3"),
    ("Condition", "context", object, "STU3"),
    ("ImagingStudy", "patient", object, "DSTU2 or STU3"),
    ("ImagingStudy", "uid", str, "DSTU2 or STU3"),
)


def other_release(document: dict[str, Any]) -> str | None:
    """Where a resource shows that it is of another release than R4: `field, as R5 writes it`."""
    if document.get("resourceType") == "CapabilityStatement":
        version = document.get("fhirVersion")
        if not (isinstance(version, str) and version.startswith(("4.0", "4.3"))):
            return "fhirVersion, which is not 4.0"
    for kind, field, of, release in _SIGNS:
        value = document.get(field) if document.get("resourceType") == kind else None
        if value is not None and isinstance(value, of):
            return f"{field}, as {release} writes it"
    return None


def problem_of(error: ValidationError) -> str:
    """The first thing that is wrong, by field and kind: never a value."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the whole"
    return f"{where}: {first['type'].replace('_', ' ')}"
