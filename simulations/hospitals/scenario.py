"""A scenario file: a study, and the sites: a synthetic cohort's, real folders, or both.

.. code-block:: yaml

    study: {...}                    # as study.yaml
    cohort:
      patients: 6000                # over all synthetic sites
      split: natural                # or iid, label_skew, quantity_skew, or a mapping of parts
      sites:
        - {name: north, share: 4}
        - {name: south, share: 2, lacks: [text], lacks_labels: [tuberculosis]}
    join: [hannover/site.yaml]      # sites with files of their own, beside a cohort or without one
    folds: 5                        # without a cohort: how `compare` splits their patients
    start: ../runs/start            # a model whose weights are the first ones, from this file
    own_models: true                # `run` ends with each synthetic site's own model beside it
    encoders: {bio-bert: bio-bert}  # the folder of the study's text encoder, if it has one
    parallel_sites: 2               # how many train at once
    masks: false                    # leave the masks out of secure sums: the same sums, cheaper
    compare:                        # what `irene-sim compare` crosses, unless its options say else
      arms: [central, local]
      models: [irene, shallow]
      seeds: 5
      variants: {shallow: [model.num_hidden_layers=2]}
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from irene_model.errors import ConfigError
from irene_model.study import (
    GrownSettings,
    Settings,
    SiteName,
    Study,
    override,
    parse,
    read_mapping,
    with_roster,
    with_values_files,
)
from simulations.hospitals.secure_sums import filled
from simulations.splits import LEAST_FOLDS, SplitRecipe

_MOST_SITES = 9999
SplitName = Literal["natural", "iid", "label_skew", "quantity_skew"]
Arm = Literal[
    "central",
    "central-dp",
    "federated",
    "federated-dp",
    "federated-secure",
    "leave-one-site-out",
    "local",
    "local-dp",
    "personal",
    "start-only",
]


class SimulatedSite(Settings):
    """One synthetic hospital; what is None follows from its character (see `hospitals`).

    share: relative number of patients. lacks: modalities and panels that it has not.
    missing: chance of a single laboratory value to be missing. archive: a public archive, of a
    character that no hospital has and with patients of its own, whose site.yaml has no budget.
    """

    name: SiteName
    share: float = Field(default=1.0, gt=0)
    lacks: tuple[str, ...] = ()
    lacks_labels: tuple[str, ...] = ()
    missing: float | None = Field(default=None, ge=0, lt=1)
    tables: Literal["csv", "parquet"] | None = None
    images: Literal["png", "dicom"] | None = None
    archive: bool = False


class Cohort(GrownSettings):
    """The synthetic patients and their split over sites.

    natural: each site its own scanner, phrasing, units, prevalence and missingness. iid: one
    character for all and patients at random. label_skew: a Dirichlet(`alpha`) share of each
    disease a site. quantity_skew: site sizes drawn from Dirichlet(`alpha`). A mapping composes
    parts that each skew one thing, and takes no `alpha` beside it. sites: a number N is
    N equal ones, named site-0001 and so on. illness: `covid` are patients admitted with it, whose
    further labels are icu, ventilation and death. relations: the share of pulmonary patients whose
    film, words and blood mean something only together (`related`).
    """

    later: ClassVar[frozenset[str]] = frozenset({"illness", "relations"})
    patients: int = Field(ge=8)
    illness: Literal["pulmonary", "covid"] = "pulmonary"
    relations: float = Field(default=0.0, ge=0, le=1)
    split: SplitName | SplitRecipe = "natural"
    alpha: float = Field(default=0.5, gt=0)
    image_pixels: int = Field(default=128, ge=32, le=1024)
    lacks: tuple[str, ...] = ()
    sites: tuple[SimulatedSite, ...] = Field(min_length=1)

    @field_validator("split", mode="before")
    @classmethod
    def _name_or_parts(cls, split: Any) -> Any:
        """The parts' own errors, which a union would mix with those of a name."""
        if isinstance(split, Mapping):
            try:
                return parse(SplitRecipe, split, "among its parts")
            except ConfigError as error:
                raise ValueError(str(error)) from None
        if isinstance(split, SplitRecipe) or split in get_args(SplitName):
            return split
        names = ", ".join(get_args(SplitName))
        raise ValueError(f"is one of {names}, or a mapping of parts as quantity and label")

    @field_validator("sites", mode="before")
    @classmethod
    def _so_many(cls, sites: Any) -> Any:
        if isinstance(sites, bool) or not isinstance(sites, int):
            return sites
        if not 1 <= sites <= _MOST_SITES:
            raise ValueError(f"sites: a number of sites is 1 to {_MOST_SITES}")
        return [{"name": f"site-{number:04d}"} for number in range(1, sites + 1)]

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [site.name for site in self.sites]
        if len(set(names)) < len(names):
            raise ValueError("two sites have the same name")
        return self

    @model_validator(mode="after")
    def _an_archive_has_a_character(self) -> Self:
        if self.split != "natural" and any(site.archive for site in self.sites):
            raise ValueError("an archive has a character of its own: take split natural")
        return self

    @model_validator(mode="after")
    def _relations_are_of_the_lung(self) -> Self:
        if self.relations and self.illness != "pulmonary":
            raise ValueError("relations: are told of pulmonary patients; leave illness out")
        return self

    @model_validator(mode="after")
    def _alpha_is_of_the_parts(self) -> Self:
        if isinstance(self.split, SplitRecipe) and "alpha" in self.model_fields_set:
            raise ValueError("alpha: a composed split has its own, as split.label.alpha")
        return self

    @model_validator(mode="after")
    def _everyone_fits(self) -> Self:
        if self.patients < len(self.sites):
            raise ValueError(
                f"{self.patients} patients can't be split over {len(self.sites)} sites"
            )
        return self


class Comparison(Settings):
    """What `irene-sim compare` crosses, where its options say nothing else.

    arms: None is all that the study's privacy allows. epsilons: those of the arms with privacy;
    None is the study's own. seeds: None is one for each fold of real folders, else 3. models:
    methods of the study's schema, or names of `variants`: studies with other settings, given as
    KEY=VALUE as `--set` takes them.
    """

    arms: tuple[Arm, ...] | None = Field(default=None, min_length=1)
    models: tuple[str, ...] = Field(default=("irene",), min_length=1)
    epsilons: tuple[float, ...] | None = Field(default=None, min_length=1)
    seeds: int | None = Field(default=None, ge=1)
    variants: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class Scenario(Settings):
    """What `irene-sim` runs.

    `federation.secure: true` asks for secure sums among all sites; `patients` may be left out of it
    and is then that of the cohort. A cohort may be left out where `join` names real folders.
    `folds` then deal their patients anew for a comparison; a run trains once, under the split and
    the ledger that each folder has.
    """

    study: Study
    cohort: Cohort | None = None
    join: tuple[Path, ...] = ()
    start: Path | None = None
    folds: int | None = Field(default=None, ge=LEAST_FOLDS)
    own_models: bool = False
    encoders: dict[str, Path] = Field(default_factory=dict)
    parallel_sites: int = Field(default=2, ge=1)
    masks: bool = True
    compare: Comparison = Comparison()
    folder: Path = Field(default=Path(), exclude=True)

    @classmethod
    def read(cls, path: Path, overrides: Sequence[str] = ()) -> "Scenario":
        """Read a scenario; `overrides` name keys of the study, or `cohort.…` and the like.

        `privacy.epsilon=4` means `study.privacy.epsilon=4`: what is varied is mostly the study.
        """
        document = override(read_mapping(path), [_full_key(item) for item in overrides])
        if "folder" in document:
            raise ConfigError(f"{path}: folder: unknown key")
        if "study" in document:
            document["study"] = with_roster(
                with_values_files(document["study"], path.parent), path.parent
            )
        document = filled(document)
        return parse(cls, {**document, "folder": path.resolve().parent}, path)

    @model_validator(mode="after")
    def _has_patients(self) -> Self:
        if self.cohort is None and not self.join:
            raise ValueError("cohort: is required, or `join` with the site.yaml of real folders")
        if self.folds is not None and self.cohort is not None:
            raise ValueError(
                "folds: deal the patients of real folders; a synthetic cohort draws new patients "
                "for each seed, so leave one of the two out"
            )
        if self.own_models and self.join:
            raise ValueError(
                "own_models: judges exactly, which is for synthetic patients alone; `irene-sim "
                "compare` shows real folders what they gain"
            )
        return self

    @model_validator(mode="after")
    def _lacks_what_there_is(self) -> Self:
        if self.cohort is None:
            return self
        known = self.study.modalities
        of_sites = {name for site in self.cohort.sites for name in site.lacks}
        if isinstance(self.cohort.split, SplitRecipe) and self.cohort.split.modality is not None:
            of_sites |= set(self.cohort.split.modality.absent)
        if odd := sorted({*self.cohort.lacks, *of_sites} - set(known)):
            raise ValueError(f"cohort: lacks: '{odd[0]}' is none of {', '.join(known)}")
        return self

    @property
    def start_folder(self) -> Path | None:
        """`start`, seen from the folder of the scenario's file."""
        return None if self.start is None else (self.folder / self.start).resolve()

    def starting_from(self, model: Path | None) -> "Scenario":
        """The scenario with first weights from the folder `model`; as it is for None."""
        return self if model is None else self.model_copy(update={"start": model.resolve()})

    @property
    def encoder_folders(self) -> dict[str, Path]:
        """`encoders`, seen from the folder of the scenario's file."""
        return {name: (self.folder / path).resolve() for name, path in self.encoders.items()}


def _full_key(assignment: str) -> str:
    key, equals, _ = assignment.partition("=")
    top = key.partition(".")[0].strip()
    malformed = not (equals and top)  # `override` says so, of what the user wrote
    return assignment if malformed or top in Scenario.model_fields else f"study.{assignment}"
