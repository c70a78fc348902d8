"""What is public of who takes part: how many patients train at each site, and what they may lack.

Of a synthetic cohort it follows from the scenario; of a real folder it is what its site.yaml
declares, and its files are not read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from client.budget import declared_size
from irene_model.errors import ConfigError
from irene_model.study import Study
from simulations.hospitals import HELD_OUT_SHARES, Cohort, Scenario, joined_sites
from simulations.splits import SplitRecipe

MOST_PATIENTS = 10**9
_TOLERANCE = 0.05
TRAINED = 1 - sum(HELD_OUT_SHARES.values())


@dataclass(frozen=True, kw_only=True)
class Public:
    """sites: name -> training patients, as declared. missing: modality or panel -> the share of
    all patients that may lack it, where anything is known of it.
    """

    sites: Mapping[str, int]
    missing: Mapping[str, float]

    @property
    def patients(self) -> int:
        """Training patients of all sites together."""
        return sum(self.sites.values())

    @property
    def judged(self) -> float:
        """Validation patients of all sites, at the usual shares."""
        return self.patients * HELD_OUT_SHARES["validation"] / TRAINED


def public_of(
    study: Study,
    scenario: Scenario | None,
    *,
    patients: Sequence[int] = (),
    missing: Mapping[str, float] | None = None,
) -> Public:
    """What is known of `study`'s sites: from `patients`, one number a site, or the scenario, or the
    study's own number of patients under secure sums.

    missing: modality -> share, as `irene-client check` tells; stands for what a scenario says.
    ConfigError for numbers that are none, and where a size is not told anywhere.
    """
    if any(not 1 <= count <= MOST_PATIENTS for count in patients):
        raise ConfigError("--patients: give whole numbers from 1, one for each site, as 4000,900")
    sites = _told(patients, scenario) or _of_scenario(scenario) or _of_sums(study)
    if not sites:
        raise ConfigError(
            "the study does not say how many patients its sites have: give --patients, as 4000,900"
        )
    secure, whole = study.federation.secure, sum(patients)
    if patients and secure and abs(whole / secure.patients - 1) > _TOLERANCE:
        raise ConfigError(
            f"--patients: add up to {whole}, and federation.secure.patients says "
            f"{secure.patients}; change one of them (--set federation.secure.patients={whole})"
        )
    if len(sites) < study.federation.needed_sites:
        raise ConfigError(
            f"there are {len(sites)} sites, and the study needs {study.federation.needed_sites} "
            "(federation.minimum_sites)"
        )
    known = study.modalities
    lacking = _lacking(scenario, sites) | dict(missing or {})
    if odd := sorted(set(lacking) - set(known)):
        raise ConfigError(f"--missing: '{odd[0]}' is none of {', '.join(known)}")
    if any(not 0 <= share <= 1 for share in lacking.values()):
        raise ConfigError("--missing: a share is from 0 to 1, as text=0.3")
    return Public(sites=sites, missing={name: share for name, share in lacking.items() if share})


def _told(patients: Sequence[int], scenario: Scenario | None) -> dict[str, int]:
    names = [] if scenario is None else _names(scenario)
    if patients and names and len(names) != len(patients):
        raise ConfigError(
            f"--patients: gives {len(patients)} numbers, and the scenario has {len(names)} sites: "
            f"{', '.join(names)}"
        )
    names = names or [f"site{number}" for number in range(1, len(patients) + 1)]
    return dict(zip(names, patients, strict=False)) if patients else {}


def _names(scenario: Scenario) -> list[str]:
    cohort = scenario.cohort
    synthetic = [] if cohort is None else [site.name for site in cohort.sites]
    return [*synthetic, *(site.site for site in joined_sites(scenario).values())]


def _of_scenario(scenario: Scenario | None) -> dict[str, int]:
    if scenario is None:
        return {}
    found = {} if scenario.cohort is None else _made_up(scenario.cohort)
    for path, site in joined_sites(scenario).items():
        if site.declared_patients is None:
            raise ConfigError(
                f"{path}: declared_patients: is not said, and a plan reads no patients' files; "
                "give --patients, one number for each site"
            )
        found[site.site] = declared_size(site, site.declared_patients)
    return found


def _made_up(cohort: Cohort) -> dict[str, int]:
    """Training patients by the sites' shares; sizes that are drawn are taken for equal."""
    drawn = cohort.split in ("quantity_skew", "label_skew")
    drawn |= isinstance(cohort.split, SplitRecipe) and cohort.split.quantity is not None
    shares = {site.name: 1.0 if drawn else site.share for site in cohort.sites}
    each = TRAINED * cohort.patients / sum(shares.values())
    return {name: max(1, round(each * share)) for name, share in shares.items()}


def _of_sums(study: Study) -> dict[str, int]:
    """As few sites as the study's secure sums take, of one size."""
    secure, least = study.federation.secure, study.federation.minimum_sites
    if secure is None:
        return {}
    return {f"site{n}": max(1, secure.patients // least) for n in range(1, least + 1)}


def _lacking(scenario: Scenario | None, sites: Mapping[str, int]) -> dict[str, float]:
    """Modality -> the share of all patients at synthetic sites that have none of it."""
    cohort = None if scenario is None else scenario.cohort
    found: dict[str, float] = {}
    for site in () if cohort is None else cohort.sites:
        for modality in site.lacks:
            found[modality] = found.get(modality, 0.0) + sites[site.name] / sum(sites.values())
    return {name: share for name, share in found.items() if share < 1}
