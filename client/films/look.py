"""All radiographs of a hospital, each decoded once as the model will see it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from client.films.header_doubts import Headed, doubt_headers
from client.films.polarity import core_of, count_negatives
from client.films.sheet import ON_THE_SHEET, choose
from client.films.turned import Grid, count_turned, grid_of
from client.films.twins import BITS, fingerprint
from client.images import BadImages, ImageFile, Progress, Radiograph, read_radiographs
from client.records import PlacedRecord, image_files
from client.site import ImageFilter
from irene_model.inputs import Pixels
from irene_model.study import SPLITS, Record, Split

_FEW_SHADES = 12  # of 32: a radiograph fills twice as many, and some where most of it is black


@dataclass(frozen=True, kw_only=True)
class Films:
    """What the readable radiographs show together, and the unreadable ones by cause.

    blank: how many hold at most two grey levels. flat: how many others hold few shades.
    small: how many are smaller than the square.
    coloured: how many hold colours. negatives, turned: how many look like negatives of the
    others, or turned among them.
    headed: the headers of those that have one. records, prints: of those that are not blank, with
    their fingerprints (N, 512), in one order. sheet: split and pixels of some, for people to look
    at.
    """

    blank: int
    flat: int
    small: int
    coloured: int
    negatives: int
    turned: int
    headed: tuple[Headed, ...] = field(repr=False)
    records: Sequence[Record] = field(repr=False)
    prints: npt.NDArray[np.bool_] = field(repr=False)
    sheet: Sequence[tuple[Split, Pixels]] = field(repr=False)
    bad: tuple[BadImages, ...]

    def doubts(self, wanted: ImageFilter) -> list[str]:
        """What looks wrong in them one by one; `wanted` is what the site has chosen already."""
        said = doubt_headers(self.headed, wanted)
        if self.blank:
            said.append(f"{self.blank} images hold at most two grey levels: are they blank?")
        if self.flat:
            said.append(
                f"{self.flat} images hold a few shades of grey, or black and white alone: are they "
                "masks, scans of paper, or cut off by an export?"
            )
        if self.small:
            said.append(
                f"{self.small} images are smaller than the square that the model reads: are they "
                "thumbnails?"
            )
        if self.coloured:
            said.append(
                f"{self.coloured} images are in colour and are read by their brightness: are they "
                "screenshots?"
            )
        if self.negatives:
            said.append(
                f"{self.negatives} images look like negatives of the others: is air white in them?"
            )
        if self.turned:
            said.append(
                f"{self.turned} images look turned by a quarter or upside down among the others: "
                "are they upright?"
            )
        return said


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """What is kept of one radiograph; `shown` only if it is on the sheet."""

    row: int
    blank: bool
    flat: bool
    small: bool
    coloured: bool
    core: npt.NDArray[np.float32]
    grid: Grid
    print_: npt.NDArray[np.bool_]
    headed: Headed | None
    shown: Pixels | None


def look_at_films(
    placed: Sequence[PlacedRecord],
    size: int,
    progress: Progress | None = None,
    *,
    most_pixels: int,
) -> Films:
    """Decode each record's image of at most `most_pixels` once, as (size, size)."""
    files = image_files(placed)
    chosen = choose([placed[file.row].record for file in files], ON_THE_SHEET)
    on_sheet = {files[index].row for index in chosen}

    def look(file: ImageFile, radiograph: Radiograph) -> _Seen:
        pixels, header, record = radiograph.pixels, radiograph.header, placed[file.row].record
        return _Seen(
            row=file.row,
            # A blank image has one level of its own and the border's black.
            blank=len(np.unique(pixels)) <= 2,
            flat=radiograph.shades <= _FEW_SHADES,
            small=radiograph.enlarged,
            coloured=radiograph.coloured,
            core=core_of(pixels),
            grid=grid_of(pixels),
            print_=fingerprint(pixels),
            headed=None if header is None else Headed(header=header, patient_id=record.patient_id),
            shown=pixels if file.row in on_sheet else None,
        )

    found, bad = read_radiographs(files, size, look, progress, most_pixels=most_pixels)
    telling = [seen for seen in found if not seen.blank]
    sheet = [(placed[s.row].record.split, s.shown) for s in found if s.shown is not None]
    return Films(
        blank=len(found) - len(telling),
        flat=sum(seen.flat for seen in telling),
        small=sum(seen.small for seen in found),
        coloured=sum(seen.coloured for seen in found),
        negatives=count_negatives([seen.core for seen in found]),
        turned=count_turned([seen.grid for seen in found]),
        headed=tuple(seen.headed for seen in found if seen.headed is not None),
        records=[placed[seen.row].record for seen in telling],
        prints=np.array([seen.print_ for seen in telling], np.bool_).reshape(-1, BITS),
        sheet=sorted(sheet, key=lambda film: SPLITS.index(film[0])),
        bad=bad,
    )
