"""What has to be known of a substance before its units become others.

The study says it for each laboratory value: `molar_mass`, `charge`, `international_units`. Where it
says nothing of the latter two, its LOINC code may: the charge of sodium, and that an enzyme's
international unit is its unit, are the same everywhere.
"""

from dataclasses import dataclass

from irene_model.study import Measurement

_CHARGES = {
    **dict.fromkeys(("2951-2", "2947-0"), 1),  # sodium
    **dict.fromkeys(("2823-3", "6298-4"), 1),  # potassium
    **dict.fromkeys(("2075-0", "2069-3"), 1),  # chloride
    **dict.fromkeys(("1963-8", "1959-6", "1960-4", "14627-4", "1961-2"), 1),  # bicarbonate
    **dict.fromkeys(("2028-9", "2026-3", "2027-1"), 1),  # all carbon dioxide
    **dict.fromkeys(("14334-7", "2524-7", "32693-4", "2518-9"), 1),  # lithium, lactate
    **dict.fromkeys(("1863-0", "33037-3", "10466-1", "1925-7", "11555-0"), 1),  # gaps, base excess
    **dict.fromkeys(("2000-8", "17861-6", "1995-0", "1994-3"), 2),  # calcium
    **dict.fromkeys(("2601-3", "19123-9"), 2),  # magnesium
}
_INTERNATIONAL = frozenset(
    (
        *("1920-8", "30239-8", "1742-6", "1743-4", "1744-2"),  # AST, ALT
        *("6768-6", "2324-2", "2532-0", "14804-9", "14805-6"),  # ALP, GGT, LDH
        *("2157-6", "32673-6", "3040-3", "1798-8", "2098-2"),  # CK, lipase, amylase, ChE
        # Hormones in international units alone, whose I is often left out.
        *("3016-3", "11579-0", "11580-8", "10501-5", "15067-2"),  # TSH, LH, FSH
        *("19080-1", "21198-7", "20448-7"),  # hCG, insulin
    )
)


_GLYCATED = frozenset(("4548-4", "17856-6", "59261-8"))  # haemoglobin A1c, in % and in mmol/mol


@dataclass(frozen=True, kw_only=True)
class Substance:
    """molar_mass: in g/mol. charge: of the ion. international: a unit is an international unit.

    glycated: haemoglobin A1c, of which % and mmol/mol are two calibrations and no mere factor.
    """

    molar_mass: float | None = None
    charge: int | None = None
    international: bool = False
    glycated: bool = False


USUAL = Substance(charge=1, international=True)
"""What a laboratory means where nobody says otherwise: an ion of one charge, and IU for U."""


def substance_of(test: Measurement) -> Substance:
    """What the study says of `test`, or its LOINC code."""
    loinc = getattr(test, "loinc", "")
    said = test.international_units
    return Substance(
        molar_mass=test.molar_mass,
        charge=_CHARGES.get(loinc) if test.charge is None else test.charge,
        international=loinc in _INTERNATIONAL if said is None else said,
        glycated=loinc in _GLYCATED,
    )
