"""Synthetic hospitals on disk, in the format of real ones: `site.yaml`, tables and radiographs."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from irene_model.errors import ConfigError
from irene_model.inputs import FrozenImageEncoder, TextReader
from irene_model.study import dump
from simulations.hospitals.cohort import Hospital, draw_cohort, stream_of
from simulations.hospitals.counting import check_tested, count
from simulations.hospitals.drawing import Drawn, drawing
from simulations.hospitals.files import SUFFIX
from simulations.hospitals.folders import write_folder
from simulations.hospitals.recordings import write_recordings
from simulations.hospitals.scenario import Scenario
from simulations.patients import DISEASES, OUTCOMES
from simulations.splits import write_census

Progress = Callable[[int, int], None]


def write_hospitals(
    scenario: Scenario, out: Path, *, seed: int, progress: Progress | None = None
) -> list[Path]:
    """Write `study.yaml`, `split.csv` and one folder for each site into `out`.

    Returns the site.yaml files. Everything follows from `seed`. A folder that already
    holds something is refused.
    """
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out}: is not empty; give a new folder")
    study, cohort = scenario.study, scenario.cohort
    if cohort is None:
        raise ConfigError("cohort: is required to write synthetic hospitals")
    check_scenario(scenario)
    written, images, drawn = [], 0, []
    with drawing(cohort.patients) as draw:
        # All of them, before anything is written.
        hospitals = tuple(draw_cohort(cohort, seed, study.labels))
        check_tested(study, cohort, hospitals)
        out.mkdir(parents=True, exist_ok=True)
        (out / "study.yaml").write_text(dump(study), encoding="utf-8")
        for index, hospital in enumerate(hospitals):
            stream = stream_of(cohort, index)
            rng = np.random.default_rng([seed, 2, stream])
            folders = scenario.encoder_folders
            home, chance = out / hospital.site.name, [seed, 4, stream]
            sounds = write_recordings(home, study, hospital, chance)
            path = write_folder(out, study, hospital, rng, encoders=folders, sounds=sounds)
            written.append(path)
            wanted = list(_images(out, hospital, cohort.image_pixels, [seed, 3, stream]))
            images += len(wanted)
            drawn.append(draw(wanted))
        write_census(count(study, cohort, hospitals, seed), out / "split.csv")
        done = 0
        for more in chain.from_iterable(drawn):
            done += more
            if progress is not None:
                progress(done, images)
    return written


def check_scenario(scenario: Scenario) -> None:
    """Refuse names that study and synthetic hospitals do not share, as a ConfigError.

    So is a text or image encoder that is not where `encoders` says. Joined folders bring their own.
    """
    study, cohort = scenario.study, scenario.cohort
    if cohort is None:
        return
    TextReader.open(study.text, scenario.encoder_folders)
    FrozenImageEncoder.open(study.image, scenario.encoder_folders)
    lacking = {label for site in cohort.sites for label in site.lacks_labels}
    if unknown := sorted(lacking - set(study.labels)):
        raise ConfigError(f"cohort.sites.lacks_labels: the study has no label '{unknown[0]}'")
    known = (*DISEASES, *(OUTCOMES if cohort.illness == "covid" else ()))
    if not set(study.labels) & set(known):
        raise ConfigError(
            f"study.labels: synthetic hospitals know none of them; they know {', '.join(known)}"
        )


def _images(out: Path, hospital: Hospital, pixels: int, entropy: Sequence[int]) -> Iterator[Drawn]:
    encounters = [e for patient in hospital.patients for e in patient.encounters]
    for number, encounter in enumerate(encounters):
        name = encounter.encounter_id + SUFFIX[hospital.character.images]
        yield Drawn(
            path=out / hospital.site.name / "images" / name,
            findings=encounter.findings,
            scanner=hospital.character.scanner,
            pixels=pixels,
            format=hospital.character.images,
            entropy=(*entropy, number),
        )
