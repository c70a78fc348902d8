"""What became of every row, image and code of a hospital's files: nothing is left out unsaid."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from client.joins import Account, JoinCounts, TableRows
from client.site import Site
from irene_model.modalities import EVERY
from irene_model.study import Record

_PARTS = [part for each in EVERY for part in each.parts]
_IMAGES = {".png", ".jpg", ".jpeg", ".dcm", ".dicom", ".dic", ".ima"}


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Counts of all that was there; the rows of each table add up.

    joins: partners on both sides. codes: LOINC code that the study does not ask for -> rows of the
    laboratory table. other_codes: its rows whose code is not of LOINC. code_doubt: what those may
    be. without_input: records with no image, text, number, age or sex. unnamed_images: files in
    the images' folder that no record names; None where no image is mapped. cells: what was read as
    something else than it says -> how often. doubts: what looked wrong while it was read.
    """

    tables: tuple[TableRows, ...]
    joins: tuple[JoinCounts, ...]
    codes: Mapping[str, int]
    other_codes: int
    code_doubt: str | None
    without_input: int
    unnamed_images: int | None
    cells: Mapping[str, int] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()


def count_coverage(site: Site, records: Sequence[Record], account: Account) -> Coverage:
    """The counts of the kept `records` and of what reading them told."""
    return Coverage(
        tables=tuple(account.tables),
        joins=tuple(account.joins),
        codes=account.codes,
        other_codes=account.other_codes,
        code_doubt=account.code_doubt,
        without_input=sum(not any(map(record.has, _PARTS)) for record in records),
        unnamed_images=_unnamed_images(site, records, account),
        cells=account.cells,
        doubts=tuple(account.doubts),
    )


def doubt_coverage(coverage: Coverage) -> list[str]:
    """What looks wrong, one sentence each."""
    doubts = [doubt for join in coverage.joins if (doubt := join.doubt()) is not None]
    if coverage.code_doubt is not None:
        doubts.append(f"the laboratory table's tests: {coverage.code_doubt}")
    if coverage.without_input:
        doubts.append(
            f"{coverage.without_input} records have no input at all: no image, text, laboratory "
            "value, panel, age or sex"
        )
    return doubts


def _unnamed_images(site: Site, records: Sequence[Record], account: Account) -> int | None:
    if site.columns.image is None:
        return None
    paths = [record.image_path for record in records if record.image_path is not None]
    named = {os.path.realpath(path) for path in (*paths, *account.excluded_images)}
    suffixes = _IMAGES | {Path(path).suffix.lower() for path in named}
    folder = site.resolve(Path(site.columns.image.pattern.partition("{}")[0] + "x")).parent
    found = set()
    # Links to folders are followed by no walk, which might go round in circles for ever.
    for top, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != ".irene"]
        real = os.path.realpath(top)
        found |= {
            os.path.realpath(f"{real}/{name}")
            for name in files
            if Path(name).suffix.lower() in suffixes
        }
    return len(found - named)
