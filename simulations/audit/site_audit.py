"""An audit of a scenario's first site, in a folder: hospitals, ledgers and `audit.json`."""

import json
from pathlib import Path
from typing import Any

from client.ledger import Ledger
from client.records import open_dataset
from client.site import Site
from simulations.audit.audit import Audit, Progress, audit
from simulations.audit.sum_audit import Hospital, audit_sums
from simulations.hospitals import Scenario, mask_key, with_members, write_hospitals


def audit_first_site(
    scenario: Scenario,
    out: Path,
    *,
    canaries: int,
    runs: int,
    seed: int,
    progress: Progress | None = None,
) -> tuple[Audit, ...]:
    """Write the hospitals of `scenario` into `out`, attack the first and write `audit.json`.

    One audit; two where sites hide in secure sums: against the coordinator with the colluding sites
    and against everybody else. Each of the `runs` trainings has ledgers of its own: see `audit`.
    """
    sites = [Site.read(path) for path in write_hospitals(scenario, out, seed=seed)]

    def ledgers(site: Site) -> list[Ledger]:
        return [Ledger(out / "ledgers" / f"{site.site}-{run}.sqlite", None) for run in range(runs)]

    if scenario.study.federation.secure is None:
        found = audit(
            open_dataset(sites[0], scenario.study),
            ledgers=ledgers(sites[0]),
            canaries=canaries,
            seed=seed,
            progress=progress,
        )
        _write(found.as_json(), out)
        return (found,)
    keys = {site.site: mask_key(site.site, seed) for site in sites}
    study = with_members(scenario.study, keys)
    hospitals = [
        Hospital(
            site=site,
            dataset=open_dataset(site, study),
            key=keys[site.site],
            ledgers=ledgers(site),
        )
        for site in sites
    ]
    audits = audit_sums(hospitals, canaries=canaries, seed=seed, progress=progress)
    _write({"audits": [each.as_json() for each in audits]}, out)
    return audits


def _write(found: dict[str, Any], out: Path) -> None:
    (out / "audit.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
