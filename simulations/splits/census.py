"""A census of a split: one row a site, as the table `split.csv`.

Shares are exact, of made-up patients: nothing here is private, and no census is made of real ones.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from irene_model.errors import ConfigError

_PREVALENCE, _PRESENCE, _SCANNER = "prevalence ", "presence ", "scanner "


@dataclass(frozen=True, kw_only=True)
class SiteCensus:
    """One site.

    shared: patients who are at another site too. prevalence: label -> share of the records that
    have it; None where it isn't recorded. presence: modality -> share of the records that have it.
    ages: quartiles, in years. female: share of the records. scanner: what its machine adds.
    """

    site: str
    patients: int
    records: int
    shared: int
    prevalence: Mapping[str, float | None]
    presence: Mapping[str, float]
    ages: tuple[float, float, float]
    female: float
    scanner: Mapping[str, float]


def write_census(census: Sequence[SiteCensus], path: Path) -> None:
    """One line a site; an empty cell is a label that the site does not record."""
    rows = [_row(each) for each in census]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_census(path: Path) -> list[SiteCensus]:
    """What `write_census` wrote; another file is a ConfigError."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            found = [_site(row) for row in csv.DictReader(file, strict=True)]
    except OSError as error:
        raise ConfigError(f"{path}: can't be read ({type(error).__name__})") from None
    except (KeyError, TypeError, ValueError, AttributeError, csv.Error):
        raise ConfigError(f"{path}: is no split.csv of irene-sim; write it again") from None
    if not found:
        raise ConfigError(f"{path}: holds no site; write it again")
    return found


def _row(each: SiteCensus) -> dict[str, str]:
    low, middle, high = each.ages
    return {
        "site": each.site,
        "patients": str(each.patients),
        "records": str(each.records),
        "shared": str(each.shared),
        "age q1": f"{low:g}",
        "age median": f"{middle:g}",
        "age q3": f"{high:g}",
        "female": f"{each.female:.4f}",
        **{_PREVALENCE + name: _cell(share) for name, share in each.prevalence.items()},
        **{_PRESENCE + name: _cell(share) for name, share in each.presence.items()},
        **{_SCANNER + name: f"{value:.4g}" for name, value in each.scanner.items()},
    }


def _cell(share: float | None) -> str:
    return "" if share is None else f"{share:.4f}"


def _site(row: Mapping[str, str]) -> SiteCensus:
    def under(prefix: str) -> dict[str, float]:
        return {k[len(prefix) :]: float(v) for k, v in row.items() if k.startswith(prefix) and v}

    prevalence: dict[str, float | None] = {
        key[len(_PREVALENCE) :]: None for key in row if key.startswith(_PREVALENCE)
    }
    return SiteCensus(
        site=row["site"],
        patients=int(row["patients"]),
        records=int(row["records"]),
        shared=int(row["shared"]),
        prevalence=prevalence | under(_PREVALENCE),
        presence=under(_PRESENCE),
        ages=(float(row["age q1"]), float(row["age median"]), float(row["age q3"])),
        female=float(row["female"]),
        scanner=under(_SCANNER),
    )
