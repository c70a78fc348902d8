"""What makes one synthetic hospital unlike another: scanner, wording, units, prevalence, gaps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from simulations.hospitals.files import ImageFormat, TableFormat
from simulations.patients import LabTest, Scanner


@dataclass(frozen=True, kw_only=True)
class Character:
    """What makes a hospital unlike the others.

    prevalence: factors on the diseases' default shares. units: laboratory name -> the unit it is
    written in and the factor to it from the panel's. missing_*: chance that it was not done, of
    missing_lab each value, of missing_labs all values of a record at once.
    """

    scanner: Scanner = field(default_factory=Scanner)
    phrasing: str = "terse"
    prevalence: Mapping[str, float] = field(default_factory=dict)
    units: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    missing_lab: float = 0.05
    missing_labs: float = 0.0
    missing_text: float = 0.02
    missing_image: float = 0.01
    labs_in: Literal["columns", "rows"] = "columns"
    tables: TableFormat = "csv"
    images: ImageFormat = "png"

    def unit_of(self, test: LabTest) -> tuple[str, float]:
        """The unit in which `test` is written here, and the factor to it from the panel's."""
        return self.units.get(test.name, (test.unit, 1.0))


_KPA = ("kPa", 0.133322)
_SI = {
    "haemoglobin": ("g/L", 10.0),
    "arterial_po2": _KPA,
    "arterial_pco2": _KPA,
    "leukocytes": ("10*9/L", 1.0),
}
# A public archive's: like no hospital's, so that a model of it has something left to learn.
ARCHIVE = Character(
    scanner=Scanner(contrast=1.1, brightness=0.02, noise=0.045, blur=3.5),
    phrasing="sentences",
    prevalence={"pneumonia": 1.3, "tuberculosis": 1.3, "interstitial_lung_disease": 0.8},
    missing_lab=0.1,
)
CHARACTERS: tuple[Character, ...] = (
    Character(missing_lab=0.05),
    Character(
        scanner=Scanner(contrast=1.2, brightness=0.04, noise=0.035, blur=4.0),
        phrasing="sentences",
        prevalence={"copd": 1.5, "lung_cancer": 1.5, "tuberculosis": 0.5},
        units=_SI,
        missing_lab=0.12,
        labs_in="rows",
        tables="parquet",
        images="dicom",
    ),
    Character(
        scanner=Scanner(contrast=0.85, brightness=-0.04, noise=0.03, blur=5.0),
        phrasing="abbreviated",
        prevalence={"tuberculosis": 2.0, "pneumonia": 1.4, "copd": 0.7},
        units={"crp": ("mg/dL", 0.1), "d_dimer": ("ng/mL", 1000.0)},
        missing_lab=0.25,
        missing_text=0.05,
        labs_in="rows",
    ),
    Character(
        scanner=Scanner(contrast=1.05, noise=0.05, blur=3.0, inverted=True),
        phrasing="nurse",
        prevalence={"pneumothorax": 1.6, "pleural_effusion": 1.3, "bronchiectasis": 0.6},
        units={"albumin": ("g/dL", 0.1)},
        missing_lab=0.15,
        missing_image=0.04,
        tables="parquet",
        images="dicom",
    ),
)
