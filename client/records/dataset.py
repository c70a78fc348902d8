"""A site's records as tensors on disk, its patients by split, and Poisson sampling of patients.

Process after process reads the same files, so decoded images and encoded records are kept on disk:
pixels as one memory-mapped array, the vectors of frozen encoders of images and texts as others, the
rest as one safetensors file. The cache's name is a hash of what was asked for (mapping and study);
it holds a list of every file that was read, and is used only while each of them is the same.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file

from client.cache import PIXELS, FileRead, file_of, keep_pixels, keep_vectors, locked_cache
from client.images import RadiographReader, quiet, refusal
from client.joins import Account
from client.records.patients import assignment_of, digest
from client.records.tables import image_files, read_wanted_records, sound_files
from client.site import Site, paths_in
from client.sounds import keep_sounds
from irene_model.errors import DataError
from irene_model.inputs import Batch, FrozenEncoder, decode, encode_records, take
from irene_model.modalities import EVERY
from irene_model.study import SPLITS, Split, Study

_log = logging.getLogger(__name__)
_FORMAT = 4  # raise when the meaning of a cached file changes
_TEXTS_AT_ONCE = 512
_TENSORS = "tensors.safetensors"
# The study has the sha256 of an encoder's files: where they lie is no matter.
_NOT_DATA = {
    *("budget", "device", "ledger", "mask_key", "cache", "encoders"),
    *("metrics", "minimum_group", "memory", "limits", "trainer"),
}
_INPUTS = ("labels", *(each.name for each in EVERY))  # keys of a study
Rows = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class SiteDataset:
    """All records of one site.

    pixels: (N, H, W) uint8, memory-mapped; zeros where there is no image.
    image: (N, 1 + patches, F) float16, memory-mapped; None unless the study has a frozen image
        encoder.
    text: (N, T, E) float16, memory-mapped; None unless the study has a frozen text encoder.
    patches: of each further modality of the study its input (N, S, W) uint8, memory-mapped.
    tensors: the other tensors of `irene_model.inputs.tensors`, N rows each.
    patients: for each split, the rows of each of its patients.
    training_digests: a hash of the id of each training patient, in no order; for the ledger. At a
        site that only evaluates, of each patient.
    assignment: a hash of the function from patients to splits; for the ledger. Empty: unknown.
    stored: where another process finds the same; None for what lies in memory alone.
    """

    study: Study
    pixels: npt.NDArray[np.uint8]
    image: npt.NDArray[np.float16] | None = None
    text: npt.NDArray[np.float16] | None = None
    patches: Mapping[str, npt.NDArray[np.uint8]] = field(default_factory=dict)
    tensors: Mapping[str, torch.Tensor]
    patients: Mapping[Split, tuple[Rows, ...]]
    training_digests: frozenset[bytes]
    assignment: str = ""
    stored: "Stored | None" = None

    def batch(self, rows: Rows) -> Batch:
        """The model's inputs for `rows`, in order."""
        return decode(self.kept(rows), self.study)

    def kept(self, rows: Rows) -> Batch:
        """What is kept of `rows`, in order: a quarter of the bytes that `decode` makes of it."""
        batch = take(self.tensors, torch.from_numpy(rows))
        if self.image is None:
            batch["pixel_values"] = torch.from_numpy(np.ascontiguousarray(self.pixels[rows]))
        else:
            batch["image_embeddings"] = torch.from_numpy(self.image[rows])
        if self.text is not None:
            batch["text_embeddings"] = torch.from_numpy(self.text[rows])
        return batch | {n: torch.from_numpy(each[rows]) for n, each in self.patches.items()}


def sample_patients(
    patients: Sequence[Rows], *, sample_rate: float, rng: np.random.Generator
) -> Rows:
    """One record of each patient of a Poisson sample; possibly none at all.

    Every patient is drawn independently with probability `sample_rate`, whatever the number of
    its records, and contributes one of them, drawn uniformly.
    """
    drawn = np.flatnonzero(rng.random(len(patients)) < sample_rate)
    rows = [rng.choice(patients[index]) for index in drawn.tolist()]
    return np.asarray(rows, dtype=np.int64)


def open_dataset(site: Site, study: Study, progress: Progress | None = None) -> SiteDataset:
    """The site's data set, from the cache where the files have not changed."""
    with _current(site, study, progress) as folder:
        return _opened(folder, site, study)


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A data set's place in its site's cache, for another process of the same node.

    written: what tells this writing of its files from any other.
    """

    folder: Path
    written: tuple[int, int]
    site: Site

    def open(self, study: Study) -> SiteDataset:
        """The same data set again; a DataError where the cache was written anew meanwhile."""
        dataset = _opened(self.folder, self.site, study)
        if dataset.stored != self:
            raise DataError(
                f"{self.folder}: was written anew while a message was answered; leave the files "
                "as they are, the next round reads them"
            )
        return dataset


class KeptDataset:
    """The data set that a process opened last, given again as long as it is the same.

    The files that it was made of are looked at each time, as `open_dataset` does.
    """

    def __init__(self) -> None:
        self._known: tuple[object, ...] = ()
        self._dataset: SiteDataset | None = None

    def open(self, site: Site, study: Study) -> SiteDataset:
        """`open_dataset`, read again where the cache is another one than last time."""
        with _current(site, study) as folder:
            known = (folder, _written(folder), study.fingerprint)
            if self._dataset is None or known != self._known:
                self._dataset = None  # not two of them in memory at a time
                self._dataset, self._known = _opened(folder, site, study), known
            return self._dataset


@contextmanager
def _current(site: Site, study: Study, progress: Progress | None = None) -> Iterator[Path]:
    """The folder of the cache, which holds what the files hold now; built where it has to be."""
    site.check_against(study)
    home, key = site.resolve(site.cache), _cache_key(site, study)
    with locked_cache(home, edition=_FORMAT, key=key) as cache:
        if not cache.is_current():
            read = _tables_read(site)
            with cache.rebuilt(read) as work:
                read += _fill(work, site, study, progress)
        yield cache.folder


def _written(folder: Path) -> tuple[int, int]:
    status = (folder / _TENSORS).stat()
    return status.st_ino, status.st_mtime_ns


def _opened(folder: Path, site: Site, study: Study) -> SiteDataset:
    written = _written(folder)
    tensors = load_file(folder / _TENSORS)
    patient, split = tensors.pop("patient").numpy(), tensors.pop("split").numpy()
    digests = [row.tobytes() for row in tensors.pop("patient_digest").numpy()]
    home = {each: SPLITS[code] for each, code in zip(digests, split.tolist(), strict=True)}
    image, frozen = _image_vectors(study), study.text.encoder.kind == "frozen"
    return SiteDataset(
        study=study,
        pixels=_mapped(folder / PIXELS),
        image=None if image is None else _mapped(folder / file_of(image)),
        text=_mapped(folder / "text.npy") if frozen else None,
        patches={each.patches: _mapped(folder / file_of(each.name)) for each, _ in study.further},
        tensors=tensors,
        patients={
            name: _rows_by_patient(patient, np.flatnonzero(split == code))
            for code, name in enumerate(SPLITS)
        },
        training_digests=frozenset(
            each for each, name in home.items() if name == "train" or not site.trains
        ),
        assignment=assignment_of(site, home),
        stored=Stored(folder=folder, written=written, site=site),
    )


def _mapped(path: Path) -> npt.NDArray[Any]:
    """The array of an .npy file, memory-mapped; unlike NumPy's map it holds no file open."""
    told = np.load(path, mmap_mode="r")
    whole = torch.from_file(str(path), shared=False, size=path.stat().st_size, dtype=torch.uint8)
    array: npt.NDArray[Any] = whole.numpy()[told.offset :].view(told.dtype).reshape(told.shape)
    array.flags.writeable = False
    return array


def _fill(work: Path, site: Site, study: Study, progress: Progress | None) -> list[FileRead]:
    """Write the data set; returns what was read besides tables and the images that are kept."""
    reader, encoder, size = site.text_reader(study), site.image_encoder(study), study.image.size
    account = Account()
    placed, _ = read_wanted_records(site, study, account)
    records = [each.record for each in placed]
    files = {file.row: file for file in image_files(placed)}
    radiographs = RadiographReader(size=size, most_pixels=site.images.most_pixels)

    def decode(row: int) -> npt.NDArray[np.uint8] | None:
        radiograph = radiographs.read(files[row])
        return None if radiograph is None else radiograph.pixels

    with quiet():
        keep_pixels(work, [record.image_path for record in records], size, decode, progress)
    if radiographs.bad:
        raise refusal(radiographs.bad)
    name = _image_vectors(study)
    if encoder is not None and name is not None:
        pixels = np.load(work / PIXELS, mmap_mode="r")
        shown, shape = sorted(files), (study.image.tokens, encoder.width)
        _log.info("encoding %d radiographs", len(shown))
        keep_vectors(
            work, name, pixels, shown, shape=shape, encode=encoder.vectors, progress=progress
        )
    tensors = encode_records(records, study, reader)
    if reader.encoder is not None:
        ids, mask = tensors.pop("input_ids"), tensors["text_mask"]
        _write_vectors(work / "text.npy", reader.encoder, ids, mask)
    heard: list[FileRead] = []
    if study.sounds is not None:
        there, heard = keep_sounds(work, sound_files(placed), len(records), study.sounds)
        tensors["sound_mask"] = torch.from_numpy(there)
    numbers = {p: n for n, p in enumerate(dict.fromkeys(r.patient_id for r in records))}
    tensors["patient"] = torch.tensor([numbers[r.patient_id] for r in records])
    tensors["patient_digest"] = torch.tensor(
        [list(digest(r.patient_id)) for r in records], dtype=torch.uint8
    )
    tensors["split"] = torch.tensor([SPLITS.index(r.split) for r in records])
    save_file(tensors, work / _TENSORS)
    # What a header has left out comes in as soon as the file is replaced by one that is wanted.
    left_out = account.excluded_images if site.images.asks else []
    return [*heard, *(FileRead.of(str(path)) for path in left_out if path.is_file())]


def _write_vectors(
    path: Path, encoder: FrozenEncoder, ids: torch.Tensor, mask: torch.Tensor
) -> None:
    """The vectors (N, T, E) of all tokens (N, T), a part at a time: all may not fit in memory."""
    _log.info("encoding %d texts", int(mask.any(dim=1).sum()))
    vectors = np.lib.format.open_memmap(
        path, mode="w+", dtype=np.float16, shape=(*ids.shape, encoder.width)
    )
    for start in range(0, len(ids), _TEXTS_AT_ONCE):
        part = slice(start, start + _TEXTS_AT_ONCE)
        vectors[part] = encoder.vectors(ids[part], mask[part]).numpy()
    vectors.flush()


def _image_vectors(study: Study) -> str | None:
    """The array of the frozen image encoder's vectors, if the study has one."""
    encoder = study.image.encoder
    return None if encoder is None else f"image-{encoder.sha256}"


def _rows_by_patient(patient: Rows, rows: Rows) -> tuple[Rows, ...]:
    """The rows of each patient among `rows`."""
    if not len(rows):
        return ()
    ordered = rows[np.argsort(patient[rows], kind="stable")]
    borders = np.flatnonzero(np.diff(patient[ordered])) + 1
    return tuple(np.split(ordered, borders))


def _cache_key(site: Site, study: Study) -> str:
    """Hash of what is asked for: the mapping, where its paths start, and the study's inputs."""
    document = study.model_dump(mode="json")
    facts: dict[str, object] = {
        "folder": str(site.folder),
        "site": site.model_dump(mode="json", exclude=_NOT_DATA),
        "study": {name: document[name] for name in _INPUTS if name in document},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _tables_read(site: Site) -> list[FileRead]:
    """Every file that site.yaml names as data; a missing one is found by whoever reads it."""
    paths = dict.fromkeys(paths_in(site.model_dump(exclude=_NOT_DATA)))
    return [FileRead.of(str(place)) for path in paths if (place := site.resolve(path)).is_file()]
