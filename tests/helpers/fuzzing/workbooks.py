"""Excel workbooks whose inside is broken though their outside is right: parts, sizes, cells."""

import io
import re
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from random import Random

from tests.helpers.fuzzing.mutations import TEXT, Mutation

_SHEETS = "xl/worksheets/"
_READ = (_SHEETS, "xl/workbook.xml", "xl/_rels", "xl/styles.xml", "xl/sharedStrings.xml")
_INLINE = rb't="inlineStr"><is>(.*?)</is>'
_LAUGHS = b'<!DOCTYPE a [<!ENTITY l0 "ha">' + b"".join(
    f'<!ENTITY l{n} "{f"&l{n - 1};" * 9}">'.encode() for n in range(1, 12)
)
_FAR = (b'r="A99999"', b'r="XFD1"', b'r="XFD1048576"', b'r="ZZZZ1"', b'r="A99999999999"', b'r=""')
_INSERTED: Sequence[tuple[bytes, bytes]] = (
    (b"<sheetData>", b'<row r="1"><c r="A1" t="n"><v>1</v></c></row>' * 20_000),
    (b"</sheetData>", b'<row><c t="s"><v>4294967295</v></c></row>'),
    (b"</sheetData>", b'<row><c t="inlineStr"><is><t>' + b"x" * 100_000 + b"</t></is></c></row>"),
    (b"</worksheet>", b'<mergeCells><mergeCell ref="A1:XFD1048576"/></mergeCells>'),
    (b"</worksheet>", b"<mergeCells>" + b'<mergeCell ref="B2:C2"/>' * 20_000 + b"</mergeCells>"),
    (b"<sheetData", b'<dimension ref="A1:XFD1048576"/>'),
    (b"</cellXfs>", b'<xf numFmtId="9"/>' * 20_000),
    (b"</sheets>", b'<sheet name="again" sheetId="9" r:id="rId1"/>' * 2000),
    (b"</sst>", b"<si><t>x</t></si>" * 20_000),
)


def plain(content: bytes) -> bytes:
    """The workbook as Excel keeps it, with text in a list of its own; without any times."""
    texts: dict[bytes, int] = {}

    def shared(match: re.Match[bytes]) -> bytes:
        return b't="s"><v>%d</v>' % texts.setdefault(match[1], len(texts))

    parts = {name: part for name, part in _parts(content).items() if "docProps" not in name}
    parts |= {
        name: re.sub(_INLINE, shared, part, flags=re.DOTALL)
        for name, part in parts.items()
        if name.startswith(_SHEETS)
    }
    strings = b"".join(b"<si>%s</si>" % text for text in texts)
    return _packed({**parts, "xl/sharedStrings.xml": b"<sst>%s</sst>" % strings})


def with_broken_part(content: bytes, rng: Random) -> bytes:
    """A part is broken as any text is, and the archive around it is whole."""
    return _changed(content, rng, rng.choice(TEXT))


def with_odd_cells(content: bytes, rng: Random) -> bytes:
    """Cells far away, of types and styles that there are not, or hundreds of thousands of them."""
    return _changed(content, rng, rng.choice((_far, _typed, _inserted, _laughs)))


def with_odd_archive(content: bytes, rng: Random) -> bytes:
    """A part is missing, doubled or packed in another way."""
    parts = _parts(content)
    if not parts:
        return content
    name = rng.choice([*parts])
    how = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    if rng.random() < 0.5:
        return _packed({other: part for other, part in parts.items() if other != name})
    return _packed(parts, {name: how})


def with_other_sizes(content: bytes, rng: Random) -> bytes:
    """The archive's list announces other sizes, places or ways of packing than there are."""
    places = [each.start() for each in re.finditer(rb"PK\x01\x02", content)]
    if not places:
        return content
    changed = bytearray(content)
    # PKWARE's APPNOTE 4.3.12: flags, method, checksum, packed and unpacked size, offset.
    at, form = rng.choice(((8, "<H"), (10, "<H"), (16, "<I"), (20, "<I"), (24, "<I"), (42, "<I")))
    values = (0, 1, 14, 99, 0xFFFF) if form == "<H" else (0, 1, 600 << 20, 0x7FFFFFFF, 0xFFFFFFFF)
    place = rng.choice(places) + at
    if place + 4 <= len(changed):
        struct.pack_into(form, changed, place, rng.choice(values))
    return bytes(changed)


def bomb(content: bytes, rng: Random) -> bytes:
    """A part that unpacks to a thousand times what it takes."""
    return _changed(content, rng, lambda part, _: part + b" " * (17 << 20))


WORKBOOK: Sequence[Mutation] = (
    *(with_broken_part,) * 8,
    *(with_odd_cells,) * 4,
    *(with_odd_archive,) * 2,
    *(with_other_sizes,) * 2,
    bomb,
)


def _parts(content: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return {each.filename: archive.read(each) for each in archive.infolist()}
    except Exception:  # what an earlier change broke, zipfile has many words for
        return {}


def _packed(parts: Mapping[str, bytes], how: Mapping[str, int] | None = None) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, part in parts.items():
            method = (how or {}).get(name, zipfile.ZIP_DEFLATED)
            archive.writestr(zipfile.ZipInfo(name), part, method, 1)  # a day of 1980
    return file.getvalue()


def _changed(content: bytes, rng: Random, change: Callable[[bytes, Random], bytes]) -> bytes:
    """One of the parts that are read is another; mostly a sheet."""
    parts = _parts(content)
    read = [name for name in parts if name.startswith(_READ)]
    sheets = [name for name in read if name.startswith(_SHEETS)]
    if not sheets:
        return content
    name = rng.choice(sheets if rng.random() < 0.5 else read)
    return _packed({**parts, name: change(parts[name], rng)})


def _far(part: bytes, rng: Random) -> bytes:
    return _once(part, rng, rb'r="[A-Z]+\d+"', rng.choice(_FAR))


def _typed(part: bytes, rng: Random) -> bytes:
    wrong = (b't="s"', b't="e"', b't="d"', b't="b"', b't="str"', b't="x"', b's="-7"', b's="9e9"')
    return _once(part, rng, rb't="\w+"', rng.choice(wrong))


def _inserted(part: bytes, rng: Random) -> bytes:
    fitting = [(mark, more) for mark, more in _INSERTED if mark in part]
    if not fitting:
        return part
    mark, more = rng.choice(fitting)
    before, _, after = part.partition(mark)
    pair = (mark, more) if mark == b"<sheetData>" else (more, mark)
    return before + b"".join(pair) + after


def _laughs(part: bytes, rng: Random) -> bytes:
    """A billion laughs, as the text of some element."""
    return _LAUGHS + b"]>" + _once(part.partition(b"?>")[2] or part, rng, rb">[^<]+<", b">&l11;<")


def _once(part: bytes, rng: Random, form: bytes, other: bytes) -> bytes:
    found = [*re.finditer(form, part)]
    if not found:
        return part
    match = rng.choice(found)
    return part[: match.start()] + other + part[match.end() :]
