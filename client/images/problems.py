"""Images that can't be read: the cause of each in the reader's own words, and all of a site as one.

A cause names the field, the kind of what it holds and the remedy. It holds no name, id or number of
the file, so that files with the same cause are counted together.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from irene_model.errors import DataError

MOST_PIXELS = 100_000_000  # several times the finest detector; a site may set another bound
MOST_BYTES = 1 << 30
_NAMED = 3  # records of a cause that an error names


class ImageProblem(Exception):  # noqa: N818  # becomes a DataError once it is known whose image it is
    """Why one image can't be read; its text is the cause."""


def refuse_huge(height: int, width: int, most: int) -> None:
    """Refuse what a header announces, before anything is allocated for it."""
    if height * width > most:
        raise ImageProblem(
            f"the image has more than {most / 1e6:g} million pixels; export it smaller, or, where "
            "it is a radiograph, raise images.most_megapixels in site.yaml"
        )


@dataclass(frozen=True, kw_only=True)
class BadImages:
    """Images that can't be read for one cause.

    places: where the first few of their records stand, as `encounters.csv line 7`.
    """

    cause: str
    count: int
    places: tuple[str, ...]

    @property
    def shown_places(self) -> str:
        """The places as `encounters.csv line 7, 9, 12 ...`."""
        table, _, _ = self.places[0].rpartition(" ")
        numbers = [place.removeprefix(f"{table} ") for place in self.places[1:]]
        more = " ..." if self.count > len(self.places) else ""
        return ", ".join([self.places[0], *numbers]) + more


def by_cause(problems: Iterable[tuple[str, str]]) -> tuple[BadImages, ...]:
    """(place, cause) of every bad image to their causes, the most frequent first."""
    places: dict[str, list[str]] = {}
    for place, cause in problems:
        places.setdefault(cause, []).append(place)
    return tuple(
        BadImages(cause=cause, count=len(found), places=tuple(found[:_NAMED]))
        for cause, found in sorted(places.items(), key=lambda item: -len(item[1]))
    )


def refusal(bad: Sequence[BadImages], what: str = "image") -> DataError:
    """One error for all bad files of a site; `what` each of them is."""
    if len(bad) == 1 and bad[0].count == 1:
        return DataError(f"the {what} of {bad[0].places[0]}: {bad[0].cause}")
    listed = "; ".join(f"{each.count} × {each.cause} ({each.shown_places})" for each in bad)
    total = sum(each.count for each in bad)
    return DataError(
        f"{total} {what}s can't be used: {listed}. Mend them, or list their records in `exclude`"
    )
