"""All radiographs of a hospital, each decoded once as the model will see it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from client.check.header_doubts import Headed, doubt_headers
from client.images import BadImages, ImageFile, Progress, Radiograph, read_radiographs
from client.records import PlacedRecord, image_files
from client.site import ImageFilter


@dataclass(frozen=True, kw_only=True)
class Radiographs:
    """What the readable ones show together, and the unreadable ones by cause.

    blank: how many hold at most two grey levels. coloured: how many hold colours. headed: the
    headers of those that have one.
    """

    blank: int
    coloured: int
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
        return said


def look_through(
    placed: Sequence[PlacedRecord], size: int, progress: Progress | None = None
) -> Radiographs:
    """Decode each record's image once, as (size, size)."""

    def seen(file: ImageFile, radiograph: Radiograph) -> tuple[bool, bool, Headed | None]:
        # A blank image has one level of its own and the border's black.
        blank = len(np.unique(radiograph.pixels)) <= 2
        header, record = radiograph.header, placed[file.row].record
        headed = None if header is None else Headed(header=header, patient_id=record.patient_id)
        return blank, radiograph.coloured, headed

    found, bad = read_radiographs(image_files(placed), size, seen, progress)
    return Radiographs(
        blank=sum(blank for blank, _, _ in found),
        coloured=sum(coloured for _, coloured, _ in found),
        headed=tuple(headed for _, _, headed in found if headed is not None),
        bad=bad,
    )
