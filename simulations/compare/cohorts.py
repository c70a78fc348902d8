"""The folder of an experiment: which scenario it follows from, and each seed's hospitals in it."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from irene_model.errors import ConfigError
from server.runs import now, versions
from simulations.hospitals import (
    Scenario,
    site_names,
    write_hospitals,
    write_joined,
    write_mask_keys,
)
from simulations.splits import picture_split


def begin_folder(scenario: Scenario, out: Path) -> None:
    """A new folder, or one that was begun with the same study and cohort; else a ConfigError."""
    path = out / "comparison.json"
    real = {"join", "folds"} if scenario.cohort is None else set()
    document = scenario.model_dump(mode="json", include={"study", "cohort"} | real)
    if not path.exists():
        if out.exists() and any(out.iterdir()):
            raise ConfigError(f"{out}: is not empty and holds no comparison; give a new folder")
        out.mkdir(parents=True, exist_ok=True)
        info = {"schema": 1, "started": now(), "versions": versions(), **document}
        work = path.with_suffix(".partial")
        work.write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")
        work.replace(path)
        return
    begun = json.loads(path.read_text(encoding="utf-8"))
    changed = list(_changed(document, {key: begun.get(key) for key in document}))
    if changed:
        raise ConfigError(
            f"{out}: was begun with another scenario: {', '.join(changed[:3])} differ"
            f"{'s' if len(changed) == 1 else ''}; give a new folder, or the scenario as it was"
        )


def _changed(new: object, old: object, key: str = "") -> Iterator[str]:
    """The dotted keys under which the two documents differ."""
    if isinstance(new, dict) and isinstance(old, dict):
        for name in dict.fromkeys([*new, *old]):
            yield from _changed(new.get(name), old.get(name), f"{key}.{name}" if key else name)
    elif new != old:
        yield key


def seed_cohort(
    scenario: Scenario, out: Path, seed: int, *, progress: Callable[[int, int], None]
) -> list[Path]:
    """The site.yaml files of one seed's hospitals, written once and whole.

    progress: told how many of how many records are on disk.
    """
    folder = out / f"seed-{seed}" / "hospitals"
    if not folder.exists():
        work = folder.with_name("hospitals.partial")
        shutil.rmtree(work, ignore_errors=True)
        if scenario.cohort is None:
            write_joined(scenario, work, seed=seed)
        else:
            write_hospitals(scenario, work, seed=seed, progress=progress)
        sites = [work / name / "site.yaml" for name in site_names(scenario)]
        write_mask_keys(scenario.study, sites, seed)
        work.rename(folder)
    if scenario.cohort is not None and not (folder.parent / "split.png").exists():
        picture_split(folder, folder.parent, title=f"{scenario.study.name}, seed {seed}")
    return [folder / name / "site.yaml" for name in site_names(scenario)]
