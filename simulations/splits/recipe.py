"""A composed split: each part skews one thing and leaves the others as they are.

.. code-block:: yaml

    cohort:
      split:
        characters: natural                  # or alike
        quantity: {power: 1}                 # or {alpha: 0.5}
        label: {alpha: 0.3}
        label_sets: {unrecorded: 0.3, unseen: 0.2}
        modality: {absent: {text: 0.25}, missing: {image: [0, 0.4]}}
        shift: {scanner: 1, age: 8, season: 1}
        shared: {share: 0.1, sites: 2}
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from irene_model.study import Settings

Alpha = Annotated[float, Field(ge=0.01, le=10_000)]
OfSites = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(ge=0, le=0.95)]
GAPS = ("image", "text", "labs")
"""Modalities of which single records may be without."""


class Quantity(Settings):
    """Sizes from Dirichlet(`alpha`), or the k-th site's in proportion to 1 / k^`power`.

    least: patients that each site has at the least.
    """

    alpha: Alpha | None = None
    power: float | None = Field(default=None, gt=0, le=4)
    least: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _one_law(self) -> Self:
        if (self.alpha is None) == (self.power is None):
            raise ValueError("give alpha (Dirichlet) or power (power law), and one of them alone")
        return self


class LabelMix(Settings):
    """Each disease's patients over the sites by Dirichlet(`alpha`) (Hsu et al. 2019)."""

    alpha: Alpha


class LabelSets(Settings):
    """Shares of the sites: `unrecorded` do not file a label, `unseen` have no patient with it.

    Each label has sites of its own, so many as the share says, and always one that has it.
    """

    unrecorded: OfSites = 0.0
    unseen: OfSites = 0.0


class ModalityGaps(Settings):
    """absent: modality or panel -> the share of the sites that lack it wholly.

    missing: image, text or labs -> the least and the largest chance that a record lacks it; a
    site's own is drawn evenly from between.
    """

    absent: dict[str, OfSites] = Field(default_factory=dict)
    missing: dict[Literal["image", "text", "labs"], tuple[Rate, Rate]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _least_first(self) -> Self:
        for name, (least, most) in self.missing.items():
            if least > most:
                raise ValueError(f"missing: {name}: the least chance comes first, then the largest")
        return self


class Shift(Settings):
    """What patients and pictures look like, with the same diseases.

    scanner: how far the scanners differ, 1 as much as those of the natural characters do. age: the
    standard deviation, in years, by which the sites' mean ages differ. season: how much likelier a
    site in deep winter is than one at midsummer to get a patient with one cold symptom more, as a
    log ratio.
    """

    scanner: float = Field(default=0.0, ge=0, le=2)
    age: float = Field(default=0.0, ge=0, le=20)
    season: float = Field(default=0.0, ge=0, le=3)


class SharedPatients(Settings):
    """A `share` of all patients is seen at so many `sites`, the others at one."""

    share: float = Field(gt=0, le=1)
    sites: int = Field(default=2, ge=2)


class SplitRecipe(Settings):
    """The parts of a split, each left out where it is not asked for.

    characters: `natural` gives each site scanner, wording, units, formats and gaps of its own,
    `alike` the same to all. Patients come from one population either way.
    """

    characters: Literal["natural", "alike"] = "alike"
    quantity: Quantity | None = None
    label: LabelMix | None = None
    label_sets: LabelSets | None = None
    modality: ModalityGaps | None = None
    shift: Shift | None = None
    shared: SharedPatients | None = None
