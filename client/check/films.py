"""All radiographs of a hospital, each decoded once as the model will see it."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from client.records import PlacedRecord, load_image

Progress = Callable[[int, int], None]  # images decoded, images in all


@dataclass(frozen=True, kw_only=True)
class Films:
    """What the radiographs show together. blank: how many hold at most two grey levels."""

    blank: int

    def doubts(self) -> tuple[str, ...]:
        """What looks wrong in them."""
        if not self.blank:
            return ()
        return (f"{self.blank} images hold at most two grey levels: are they blank?",)


def look_at_films(
    placed: Sequence[PlacedRecord], size: int, progress: Progress | None = None
) -> Films:
    """Decode each record's image once, as (size, size).

    Raises:
        DataError: as `load_image` does.
    """
    with_image = [each for each in placed if each.record.image_path is not None]

    def is_blank(each: PlacedRecord) -> bool:
        assert each.record.image_path is not None
        pixels = load_image(each.record.image_path, size, shown=f"the image of {each.place}")
        # A blank image has one level of its own and the border's black.
        return len(np.unique(pixels)) <= 2

    blank = 0
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for done, found in enumerate(pool.map(is_blank, with_image), start=1):
            blank += found
            if progress is not None:
                progress(done, len(with_image))
    return Films(blank=blank)
