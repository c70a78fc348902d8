"""All radiographs of a hospital, each decoded once as the model will see it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from client.check.header_doubts import Headed, doubt_headers
from client.check.polarity import core_of, count_negatives
from client.images import BadImages, ImageFile, Progress, Radiograph, read_radiographs
from client.records import PlacedRecord, image_files
from client.site import ImageFilter


@dataclass(frozen=True, kw_only=True)
class Radiographs:
    """What the readable ones show together, and the unreadable ones by cause.

    blank: how many hold at most two grey levels. coloured: how many hold colours. negatives: how
    many look like negatives of the others. headed: the headers of those that have one.
    """

    blank: int
    coloured: int
    negatives: int
    headed: tuple[Headed, ...]
    bad: tuple[BadImages, ...]

    def doubts(self, wanted: ImageFilter) -> list[str]:
        """What looks wrong in them; `wanted` is what the site has chosen already."""
        said = doubt_headers(self.headed, wanted)
        if self.blank:
            said.append(f"{self.blank} images hold at most two grey levels: are they blank?")
        if self.coloured:
            said.append(
                f"{self.coloured} images are in colour and are read by their brightness: are they "
                "screenshots?"
            )
        if self.negatives:
            said.append(
                f"{self.negatives} images look like negatives of the others: is air white in them?"
            )
        return said


def look_through(
    placed: Sequence[PlacedRecord], size: int, progress: Progress | None = None
) -> Radiographs:
    """Decode each record's image once, as (size, size)."""

    def seen(
        file: ImageFile, radiograph: Radiograph
    ) -> tuple[bool, bool, npt.NDArray[np.float32], Headed | None]:
        # A blank image has one level of its own and the border's black.
        blank = len(np.unique(radiograph.pixels)) <= 2
        header, record = radiograph.header, placed[file.row].record
        headed = None if header is None else Headed(header=header, patient_id=record.patient_id)
        return blank, radiograph.coloured, core_of(radiograph.pixels), headed

    found, bad = read_radiographs(image_files(placed), size, seen, progress)
    return Radiographs(
        blank=sum(blank for blank, *_ in found),
        coloured=sum(coloured for _, coloured, *_ in found),
        negatives=count_negatives([core for _, _, core, _ in found]),
        headed=tuple(headed for *_, headed in found if headed is not None),
        bad=bad,
    )
