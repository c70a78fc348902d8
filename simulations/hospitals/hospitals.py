"""Synthetic hospitals on disk, in the format of real ones: `site.yaml`, tables and radiographs."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from irene_model.errors import ConfigError
from irene_model.inputs import FrozenImageEncoder, TextReader
from irene_model.study import dump
from simulations.hospitals.cohort import Hospital, draw_cohort, stream_of
from simulations.hospitals.files import SUFFIX, ImageFormat, write_image
from simulations.hospitals.folders import write_folder
from simulations.hospitals.scenario import Scenario
from simulations.patients import DISEASES, Findings, Scanner, draw

Progress = Callable[[int, int], None]
_CHUNK = 64


@dataclass(frozen=True, kw_only=True)
class _Image:
    """One radiograph to draw, with its own seed."""

    path: Path
    findings: Findings
    scanner: Scanner
    pixels: int
    format: ImageFormat
    entropy: tuple[int, ...]


def write_hospitals(
    scenario: Scenario, out: Path, *, seed: int, progress: Progress | None = None
) -> list[Path]:
    """Write `study.yaml` and one folder for each site into `out`; returns the site.yaml files.

    Everything follows from `seed`. A folder that already holds something is refused.
    """
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out}: is not empty; give a new folder")
    study, cohort = scenario.study, scenario.cohort
    if cohort is None:
        raise ConfigError("cohort: is required to write synthetic hospitals")
    check_scenario(scenario)
    hospitals = tuple(draw_cohort(cohort, seed))  # all, before anything is written
    out.mkdir(parents=True, exist_ok=True)
    (out / "study.yaml").write_text(dump(study), encoding="utf-8")
    images: list[_Image] = []
    written = []
    for index, hospital in enumerate(hospitals):
        stream = stream_of(cohort, index)
        rng = np.random.default_rng([seed, 2, stream])
        written.append(write_folder(out, study, hospital, rng, encoders=scenario.encoder_folders))
        images += _images(out, hospital, cohort.image_pixels, [seed, 3, stream])
    _draw_all(images, progress)
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
    if not set(study.labels) & set(DISEASES):
        raise ConfigError(
            f"study.labels: synthetic hospitals know none of them; they know {', '.join(DISEASES)}"
        )


def _images(out: Path, hospital: Hospital, pixels: int, entropy: Sequence[int]) -> Iterator[_Image]:
    encounters = [e for patient in hospital.patients for e in patient.encounters]
    for number, encounter in enumerate(encounters):
        name = encounter.encounter_id + SUFFIX[hospital.character.images]
        yield _Image(
            path=out / hospital.site.name / "images" / name,
            findings=encounter.findings,
            scanner=hospital.character.scanner,
            pixels=pixels,
            format=hospital.character.images,
            entropy=(*entropy, number),
        )


def _draw_all(images: Sequence[_Image], progress: Progress | None) -> None:
    """Draw on all cores: radiographs are most of the work. Few are not worth the processes."""
    chunks = [images[start : start + _CHUNK] for start in range(0, len(images), _CHUNK)]
    done = 0
    with contextlib.ExitStack() as stack:
        drawn: Iterator[int] = map(_draw_chunk, chunks)
        if len(chunks) > 4:
            pool = stack.enter_context(ProcessPoolExecutor(mp_context=get_context("spawn")))
            drawn = pool.map(_draw_chunk, chunks)
        for count in drawn:
            done += count
            if progress is not None:
                progress(done, len(images))


def _draw_chunk(images: Sequence[_Image]) -> int:
    for image in images:
        rng = np.random.default_rng(list(image.entropy))
        pixels = draw(image.findings, rng=rng, scanner=image.scanner, size=image.pixels)
        write_image(image.path, pixels, inverted=image.scanner.inverted, format=image.format)
    return len(images)
