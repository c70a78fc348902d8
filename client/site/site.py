"""site.yaml: a hospital's own description of its files and limits. It never leaves the site.

All paths are relative to the folder of site.yaml. A modality, laboratory value or label that the
hospital lacks is simply not mapped.

.. code-block:: yaml

    site: north
    records:                      # one row for each record (an encounter of one patient)
      path: encounters.csv
      joins:                      # further tables, one row for each value of `on`
        - {path: patients.csv, on: patient_id}   # matched: 0.2, if few have a partner
    columns:
      patient_id: patient_id
      record_id: record_id
      image: {column: file, pattern: "images/{}"}
      text: complaint
      age: {column: age, unit: years}   # or months, days
      sex: {column: sex, female: [f], male: [m]}
      split: {column: split}      # optional; else by a hash of the patient id
    labs:                         # in the records table, one column each ...
      CRP: {column: crp, unit: mg/dL}
    words: {negative: "<"}        # results in words: below (<), above (>) detection, or a number
    units: {"Einh./L": U/L}       # own spellings of units, in `labs`, `lab_table` and `panels`
    lab_table:                    # ... or in a table of their own, one row a value
      path: labs.parquet
      on: record_id
      test: loinc                 # holds LOINC codes
      value: value
      unit: unit
    panels:                       # further numbers that a study may ask for
      vitals: {columns: {heart_rate: {column: hr, unit: /min}}}
      expression: {table: {path: genes.parquet, on: record_id}, lacks: [TP53]}
    sounds: {column: breath, pattern: "breath/{}.wav"}  # if it asks: or {left: {column: …}, …}
    labels:
      pneumonia: {column: pneumonia}             # 0, 1 or empty (not annotated)
      death: {column: death_offset, rule: filled} # 1 where the cell is filled, else 0
    dates: dmy                    # what 01/02/2024 is; or mdy
    missing: [haemolysed, "-99"]   # words of these files for "nothing is known", beside the usual
    exclude: out.txt              # record ids, listed here or in a file
    images: {views: [PA, AP]}     # leave out what a DICOM header calls another view
    encoders: {bio-bert: models/bio-bert}   # if the study's text or image has one: its folder here
    budget: {epsilon: 8, delta: 1.0e-5}
    metrics: private              # off, private or exact
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from client.site.columns import Columns, ImageColumn, LabColumn, LabelColumn, SitePanel
from client.site.excluded import with_excluded_ids
from client.site.hardware import Devices, Memory
from client.site.image_filter import ImageFilter
from client.site.limits import Limits
from client.site.missing import MissingWords, plain
from client.site.splits import Splits
from client.site.table_files import DayOrder, LabTable, RecordsTable
from irene_model.errors import ConfigError
from irene_model.study import (
    HELD_OUT,
    Settings,
    SiteName,
    Split,
    Study,
    parse,
    read_mapping,
)

if TYPE_CHECKING:
    from irene_model.inputs import FrozenImageEncoder, TextReader

Metrics = Literal["off", "private", "exact"]
OwnUnit = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60, pattern=r"^.*$")
]

_RESULT = r"^([<>]|[<>]?\s*-?\d+(\.\d+)?)$"  # below, above, or a number with a point


class Budget(Settings):
    """The most that all runs together may spend on these patients.

    `alone` is the most that they may spend if everybody else colludes: under secure sums a site
    relies on the others' noise, and this bounds what is left without it. Who gives none takes part
    in no secure sums.
    """

    epsilon: float = Field(gt=0)
    delta: float = Field(gt=0, lt=0.1)
    alone: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _relying_on_nobody_costs_more(self) -> Self:
        if self.alone is not None and self.alone < self.epsilon:
            raise ValueError(
                "alone: must be at least epsilon: whoever all others collude against has less noise"
            )
        return self


class TrainerSettings(Settings):
    """What the process may hold that stays between messages.

    After `idle_s` seconds without a message it gives all memory back, that of a GPU too, and the
    next message takes the seconds longer that data and model need.
    """

    idle_s: float = Field(default=600.0, ge=1, le=30 * 86_400)


class Site(Settings):
    """One hospital. `declared_patients` is the public size of its training cohort: it weights the
    site's updates and sets its sampling rate, so that neither depends on the exact count. Without
    it the count of training patients is declared, rounded to two digits, never finer than tens.

    `budget: none` must be written out to allow training without privacy. `limits` bound what a
    single study may ask for.

    `metrics`: what may leave of held-out patients' scores. `private` sends histograms with noise
    that is charged to the budget, and declines a study that asks for them without; `exact` sends
    what the study asks for; `off` sends nothing. Exact histograms leave out each label that fewer
    than `minimum_group` patients have, or have not.

    A `validation-site` only evaluates: all its patients are held out, it declines to train, and
    training charges nothing to its budget. A coordinator does not count it among the sites that a
    round needs.

    `mask_key` is the private key of `irene-client keygen` by which sums are hidden, for studies
    with secure sums.
    """

    site: SiteName
    role: Literal["training-site", "validation-site"] = "training-site"
    records: RecordsTable
    columns: Columns
    labs: dict[str, LabColumn] = Field(default_factory=dict)
    units: dict[OwnUnit, OwnUnit] = Field(default_factory=dict)
    lab_table: LabTable | None = None
    panels: dict[str, SitePanel] = Field(default_factory=dict)
    sounds: dict[str, ImageColumn] = Field(default_factory=dict)
    labels: dict[str, LabelColumn]
    splits: Splits = Splits()
    exclude: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    words: dict[OwnUnit, Annotated[str, StringConstraints(pattern=_RESULT)]] = Field(
        default_factory=dict
    )
    dates: DayOrder | None = None
    images: ImageFilter = ImageFilter()
    encoders: dict[str, Path] = Field(default_factory=dict)
    device: Devices = ("auto",)
    memory: Memory = Memory()
    trainer: TrainerSettings = TrainerSettings()
    budget: Budget | Literal["none"]
    limits: Limits = Limits()
    declared_patients: int | None = Field(default=None, ge=1)
    metrics: Metrics = "private"
    minimum_group: int = Field(default=10, ge=1)
    cache: Path = Path(".irene/cache")
    ledger: Path = Path(".irene/ledger.sqlite")
    mask_key: Path = Path(".irene/mask.key")
    folder: Path = Field(default=Path(), exclude=True)

    @field_validator("metrics", mode="before")
    @classmethod
    def _off_is_a_word(cls, metrics: Any) -> Any:
        """YAML 1.1, which PyYAML reads, takes a bare `off` for false."""
        return "off" if metrics is False else metrics

    @field_validator("sounds", mode="before")
    @classmethod
    def _one_position(cls, sounds: Any) -> Any:
        """A column alone is that of a study's only position, where it names none."""
        return {"chest": sounds} if isinstance(sounds, dict) and "column" in sounds else sounds

    @model_validator(mode="after")
    def _one_home_for_labs(self) -> Self:
        if self.labs and self.lab_table is not None:
            raise ValueError("map laboratory values by `labs` or by `lab_table`, not both")
        return self

    @model_validator(mode="after")
    def _one_way_to_split(self) -> Self:
        if self.splits.train_before is not None and self.columns.split is not None:
            raise ValueError("splits.train_before and columns.split both split: which is it?")
        if self.trains:
            return self
        if self.splits.train_before is not None:
            raise ValueError("splits.train_before: a validation site trains at no time")
        if self.splits.validation + self.splits.test == 0 or self.metrics == "off":
            raise ValueError("role: a validation site needs held-out patients, and metrics")
        return self

    @property
    def trains(self) -> bool:
        """Whether the site takes part in training at all."""
        return self.role != "validation-site"

    @property
    def declared_splits(self) -> tuple[Split, ...]:
        """Whose patients a declared size is of: who train, or all held-out ones of who does not."""
        return ("train",) if self.trains else HELD_OUT

    @model_validator(mode="after")
    def _a_word_has_one_meaning(self) -> Self:
        both = sorted({plain(word) for word in self.words} & {plain(w) for w in self.missing})
        if both:
            raise ValueError(f"words: '{both[0]}' is listed under `missing` too: which is it?")
        return self

    @classmethod
    def read(cls, path: Path) -> "Site":
        """Read site.yaml; a mistake is a ConfigError naming file and key."""
        return cls._parsed(read_mapping(path), path)

    @classmethod
    def read_public(cls, path: Path) -> "Site":
        """Read the site.yaml of a public folder, which needs no budget and may have none.

        One with a budget is a ConfigError: its patients are protected, and nothing here does.
        """
        document = {"budget": "none", **read_mapping(path)}
        if document["budget"] != "none":
            raise ConfigError(
                f"{path}: budget: this folder's patients are protected by a privacy budget, and "
                "this training has no privacy; name folders that are public, with `budget: none`"
            )
        return cls._parsed(document, path)

    @classmethod
    def _parsed(cls, document: dict[str, Any], path: Path) -> "Site":
        if "folder" in document:
            raise ConfigError(f"{path}: folder: unknown key")
        document = with_excluded_ids(document, path)
        return parse(cls, {**document, "folder": path.resolve().parent}, path)

    def resolve(self, path: Path) -> Path:
        """`path` seen from the folder of site.yaml."""
        return self.folder / path

    @property
    def missing_words(self) -> MissingWords:
        """Which cells say that nothing is known."""
        return MissingWords.of(self.missing)

    def text_reader(self, study: Study) -> "TextReader":
        """How the study's texts are read here; a missing or different encoder is a ConfigError."""
        from irene_model.inputs import TextReader

        return TextReader.open(study.text, self.encoder_folders)

    def image_encoder(self, study: Study) -> "FrozenImageEncoder | None":
        """What reads the study's images here before the model; else a ConfigError, as for texts."""
        from irene_model.inputs import FrozenImageEncoder

        return FrozenImageEncoder.open(study.image, self.encoder_folders)

    @property
    def encoder_folders(self) -> dict[str, Path]:
        """Encoder's name -> where its files lie."""
        return {name: self.resolve(path) for name, path in self.encoders.items()}

    def check_against(self, study: Study) -> None:
        """Refuse names that the study does not have, and what its engine can't do."""
        for kind, mapped, known in (
            ("labs", self.labs, study.lab_names),
            ("panels", self.panels, [panel.name for panel in study.panels]),
            ("sounds", self.sounds, () if study.sounds is None else study.sounds.positions),
            ("labels", self.labels, study.labels),
            *(
                []
                if self.lab_table is None
                else [("lab_table.codes", self.lab_table.codes, study.lab_names)]
            ),
            *(
                (f"panels.{panel.name}.{key}", getattr(self.panels[panel.name], key), panel.names)
                for panel in study.panels
                if panel.name in self.panels
                for key in ("columns", "lacks")
            ),
        ):
            unknown = sorted(set(mapped) - set(known))
            if unknown:
                listed = ", ".join(known) if len(known) <= 40 else f"{len(known)} others"
                raise ConfigError(
                    f"site {self.site}: {kind}.{unknown[0]}: the study '{study.name}' has no such "
                    f"name; it has {listed or 'none'}"
                )
        if not self.labels:
            raise ConfigError(f"site {self.site}: labels: map at least one label of the study")
        if self.memory.gradient_checkpointing and study.privacy.engine != "fused":
            raise ConfigError(
                f"site {self.site}: memory.gradient_checkpointing: the study's privacy.engine "
                f"{study.privacy.engine} can't compute activations again; turn it off, or lower "
                "memory.micro_batch"
            )
