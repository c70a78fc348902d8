"""An audit of a scenario's first site, in a folder: the hospital, its ledger and `audit.json`."""

import json
from pathlib import Path

from client.ledger import Ledger
from client.records import open_dataset
from client.site import Site
from simulations.audit.audit import Audit, Progress, audit
from simulations.hospitals import Scenario, write_hospitals


def audit_first_site(
    scenario: Scenario,
    out: Path,
    *,
    canaries: int,
    runs: int,
    seed: int,
    progress: Progress | None = None,
) -> Audit:
    """Write the hospitals of `scenario` into `out`, attack the first and write `audit.json`.

    Each of the `runs` trainings has a ledger of its own: see `audit`.
    """
    site = Site.read(write_hospitals(scenario, out, seed=seed)[0])
    found = audit(
        open_dataset(site, scenario.study),
        ledgers=[Ledger(out / "ledgers" / f"{run}.sqlite", None) for run in range(runs)],
        canaries=canaries,
        seed=seed,
        progress=progress,
    )
    document = json.dumps(found.as_json(), indent=2) + "\n"
    (out / "audit.json").write_text(document, encoding="utf-8")
    return found
