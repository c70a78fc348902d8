"""A model's answer to one record of the site, looked into, as a picture and as numbers.

Both hold a patient's data and are for the people who may see the record. Nothing is sent; the
picture is written for its owner alone.
"""

import os
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

from client.images import load_image
from client.records import PlacedRecord, read_placed_records
from client.site import Site
from client.sounds import load_sounds
from irene_model.errors import ConfigError, DataError
from irene_model.explain import Reading, explain, picture, read
from irene_model.inputs import IreneProcessor, Pixels
from irene_model.study import Study
from irene_model.weights import read_model


@dataclass(frozen=True, kw_only=True)
class Look:
    """A record's reading and its radiograph (H,W) as the model sees it; None without one."""

    title: str
    reading: Reading
    pixels: Pixels | None

    def __repr__(self) -> str:
        """Never a patient's values, nor the id in the title."""
        return f"Look({self.reading!r})"


def look(site: Site, study: Study, model_folder: Path, record_id: str, label: str | None) -> Look:
    """Read one record and ask the model in `model_folder` about it.

    `label` is the one whose evidence is sought; without it the most probable.

    Raises:
        ConfigError: the study has no such label.
        CheckpointError: as `read_model` does.
        DataError: no record has this id, or as `read_records` and `load_image` do.
    """
    if label is not None and label not in study.labels:
        raise ConfigError(
            f"--label: the study '{study.name}' has no label '{label}'; it has "
            f"{', '.join(study.labels)}"
        )
    model = read_model(model_folder, study)
    placed = _find(site, study, record_id)
    record, size = placed.record, study.image.size
    pixels = None
    if record.image_path is not None:
        pixels = load_image(
            record.image_path,
            size,
            shown=f"the image of {placed.place}",
            most_pixels=site.images.most_pixels,
        )
    shape, paths = study.sounds, record.sound_paths
    waves = {} if shape is None else load_sounds(paths, shape, shown=placed.place)
    processor = IreneProcessor(study, site.encoder_folders)
    batch = processor.encoded([record], [pixels], [waves])
    explanation = explain(model, batch, label=None if label is None else study.labels.index(label))
    return Look(
        title=f"record {record_id}, site {site.site}, study {study.name}",
        reading=read(explanation, record, study, processor.reader),
        pixels=pixels,
    )


def save(seen: Look, path: Path) -> None:
    """Draw the picture into `path`, readable by its owner alone, whole or not at all."""
    figure = picture(seen.reading, seen.pixels, title=seen.title)
    work = None
    try:
        # mkstemp's files have mode 600, and a rename keeps it.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".look-", suffix=path.suffix)
        work = Path(name)
        with os.fdopen(handle, "wb") as file, warnings.catch_warnings():
            # It would quote the letters of a complaint for which the font has no sign.
            warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)
            figure.savefig(file, format=path.suffix[1:].lower())
        work.replace(path)
    except OSError as error:
        raise ConfigError(f"--out {path}: can't be written ({type(error).__name__})") from None
    finally:
        if work is not None:
            work.unlink(missing_ok=True)


def _find(site: Site, study: Study, record_id: str) -> PlacedRecord:
    for placed in read_placed_records(site, study):
        if placed.record.record_id == record_id:
            return placed
    excluded = "; those that `exclude` lists are not read" if site.exclude else ""
    raise DataError(
        f"site {site.site}: --record: no record of {site.records.path} has this id in its column "
        f"'{site.columns.record_id}'{excluded}"
    )
