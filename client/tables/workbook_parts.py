"""An Excel workbook's parts: which sheets it has, how its numbers are shown, within bounds.

A workbook is a zip archive of XML. What is unpacked is bounded by what the archive announces, and
no more than is announced is unpacked.
"""

import io
import posixpath
import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from irene_model.errors import DataError

MOST_UNPACKED = 512 << 20  # a full sheet of nine columns
MOST_TEXT = 128 << 20  # of the strings that cells share, which a reader holds one by one
MOST_DIRECTORY = 4 << 20  # of the archive's list of parts, each of which becomes an object
MOST_MARKUP = 16 << 20  # of a part that is held as a tree, twenty times its size
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # ISO/IEC 29500-2, annex C.5
_WORKBOOK, _RELATIONS = "xl/workbook.xml", "xl/_rels/workbook.xml.rels"
_STYLES, _STRINGS = "xl/styles.xml", "xl/sharedStrings.xml"
_BUILT_IN_PERCENT = (9, 10)  # ISO/IEC 29500-1 18.8.30
_NOT_SHOWN = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]|_.|\*.')  # literals, colours, fillings
PERCENT = "percent"


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A sheet that holds cells, by the part that it is kept in."""

    name: str
    part: str
    hidden: bool


@dataclass(frozen=True, kw_only=True)
class WorkbookParts:
    """The open archive of a workbook that errors call `shown`."""

    shown: str
    archive: zipfile.ZipFile
    sheets: tuple[Sheet, ...]

    @classmethod
    def open(cls, path: Path, shown: str) -> "WorkbookParts":
        """Raises a DataError for what is no workbook, is damaged or unpacks to too much."""
        try:
            with _FewParts(path) as file, zipfile.ZipFile(file):
                pass
            archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
            raise _damaged(shown) from None
        if _WORKBOOK not in archive.namelist():
            raise DataError(
                f"{shown}: is a zip archive and no Excel workbook (.xlsx), whatever its name says; "
                "export CSV or Parquet"
            )
        parts = cls(shown=shown, archive=archive, sheets=())
        return cls(shown=shown, archive=archive, sheets=parts._sheets())

    def part(self, name: str) -> bytes:
        """A part's bytes, no more than the archive announces."""
        try:
            found = self.archive.getinfo(name)
            if found.compress_type not in _PACKED:
                raise _damaged(self.shown)
            if sum(each.file_size for each in self.archive.infolist()) > MOST_UNPACKED:
                raise self._too_large(MOST_UNPACKED, "unpacks to")
            if name == _STRINGS and found.file_size > MOST_TEXT:
                raise self._too_large(MOST_TEXT, "holds text of")
            return self.archive.read(found)
        except (zipfile.BadZipFile, zlib.error, KeyError, OSError, EOFError):
            raise _damaged(self.shown) from None
        except (NotImplementedError, RuntimeError, ValueError):  # encrypted, or an odd compression
            raise _damaged(self.shown) from None

    def _too_large(self, most: int, said: str) -> DataError:
        return DataError(
            f"{self.shown}: {said} more than {most >> 20} MiB; save the sheet as CSV, or export "
            "Parquet"
        )

    def alone(self, sheet: Sheet, content: bytes) -> io.BytesIO:
        """The workbook again, with what has been unpacked: no reader unpacks more than that."""
        packed = io.BytesIO()
        names = set(self.archive.namelist())
        kept = ("[Content_Types].xml", "_rels/.rels", _WORKBOOK, _RELATIONS, _STYLES, _STRINGS)
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
            for name in kept:
                if name in names and name != sheet.part:
                    archive.writestr(name, self.part(name))
            archive.writestr(sheet.part, content)
        packed.seek(0)
        return packed

    def number_kinds(self) -> tuple[str, ...]:
        """What each cell style's number format adds: percent, zeros as `00000`, or nothing."""
        if _STYLES not in self.archive.namelist():
            return ()
        root = self._xml(_STYLES)
        own = {each.get("numFmtId"): each.get("formatCode", "") for each in _all(root, "numFmt")}
        formats = next(iter(_all(root, "cellXfs")), None)
        return tuple(
            _kind(each.get("numFmtId", "0"), own) for each in (() if formats is None else formats)
        )

    def _sheets(self) -> tuple[Sheet, ...]:
        relations = {
            each.get("Id"): each
            for each in (self._xml(_RELATIONS) if _RELATIONS in self.archive.namelist() else ())
        }
        sheets = []
        for each in _all(self._xml(_WORKBOOK), "sheet"):
            of = next((value for key, value in each.attrib.items() if key.endswith("}id")), "")
            relation = relations.get(of)
            if relation is None or not relation.get("Type", "").endswith("/worksheet"):
                continue  # a chart
            target = relation.get("Target", "")
            part = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
            sheets.append(
                Sheet(
                    name=each.get("name", ""),
                    part=posixpath.normpath(part),
                    hidden=each.get("state", "visible") != "visible",
                )
            )
        if len({sheet.part for sheet in sheets}) < len(sheets):  # which would be read that often
            raise _damaged(self.shown)
        return tuple(sheets)

    def _xml(self, name: str) -> ET.Element:
        content = self.part(name)
        if len(content) > MOST_MARKUP:
            raise self._too_large(MOST_MARKUP, f"{name} holds")
        if b"<!DOCTYPE" in content:  # no program writes one here, and entities may swell
            raise _damaged(self.shown)
        try:
            return ET.fromstring(content)
        except (ET.ParseError, ValueError, LookupError):
            raise _damaged(self.shown) from None


class _FewParts(io.FileIO):
    """A file of which a zip archive's list is read, in one go, or not at all."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MOST_DIRECTORY:
            raise zipfile.BadZipFile
        return super().read(size)


def _damaged(shown: str) -> DataError:
    return DataError(f"{shown}: is a damaged Excel workbook; copy or save it again")


def _all(root: ET.Element, name: str) -> list[ET.Element]:
    return [each for each in root.iter() if each.tag.rpartition("}")[2] == name]


def _kind(number: str, own: dict[str | None, str]) -> str:
    if number not in own:
        built_in = number.isdecimal() and int(number) in _BUILT_IN_PERCENT
        return PERCENT if built_in else ""
    shown = _NOT_SHOWN.sub("", own[number]).partition(";")[0]
    if "%" in shown:
        return PERCENT
    return shown if len(shown) > 1 and not shown.strip("0") else ""
