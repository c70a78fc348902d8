"""Files of FHIR, JSON bundles and NDJSON of bulk exports, to resources, one after the other.

A file is bounded before it is parsed. What a resource names, by reference or url, is a key and no
place: nothing but the given files is ever opened. A file of one patient is often called as the
patient is, so a JSON document is named by its number and only NDJSON by its name.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from client.sources.history import Progress, Tally
from client.sources.resources import KINDS, other_release
from irene_model.errors import DataError

MOST_DOCUMENT = 128 << 20  # bytes: as Python's values it takes ten times that
MOST_LINE = 32 << 20
_DEEPEST = 32  # folders
_TOLD_EVERY = 2000  # lines
_LINES = (".ndjson", ".jsonl")
_BUNDLES = ("transaction", "collection", "searchset", "batch", "document", "message")
_TYPE = re.compile(r"[A-Z][A-Za-z]{1,59}", re.ASCII)
_REFERENCE = re.compile(
    r"(?:.*/)?(?P<type>[A-Z][A-Za-z]{1,59})/(?P<id>[^/?#\s]{1,128})(/_history/[^/]*)?", re.ASCII
)


@dataclass(frozen=True, kw_only=True)
class Found:
    """A resource and where it stands.

    urls: what other resources of its bundle are called in it -> their ids.
    """

    place: str
    type: str
    document: dict[str, Any] = field(repr=False)
    urls: Mapping[str, str] = field(default_factory=dict, repr=False)

    def id_of(self, reference: str, type: str) -> str:
        """The id of the resource of `type` that `reference` names; empty if it names none."""
        if reference in self.urls:
            return self.urls[reference]
        found = _REFERENCE.fullmatch(reference)
        return found["id"] if found is not None and found["type"] == type else ""


def read_resources(source: Path, tally: Tally, progress: Progress) -> Iterator[Found]:
    """Every resource of the kinds that are used, file by file in the order of names.

    One that is there twice is given once. progress: is told of bytes.

    Raises:
        DataError: a file can't be read, is too large, is no JSON, or no R4; an id has two contents.
    """
    files = _files(source, tally)
    total, done = sum(path.stat().st_size for path in files), 0
    seen: dict[bytes, bytes] = {}
    documents = [path for path in files if path.suffix.lower() not in _LINES]
    numbers = {path: number for number, path in enumerate(documents, 1)}
    for path in files:
        if path.suffix.lower() in _LINES:
            told = partial(_tell, progress, done, total)
            found = _of_lines(path, _shown(path, source), tally, told)
        else:
            shown = path.name if path == source else f"JSON file {numbers[path]}, by name,"
            found = _of_document(path, shown, tally)
        for each in found:
            sign = other_release(each.document)
            if sign is not None:
                raise DataError(f"{each.place}: is no FHIR R4: {each.type}.{sign}; export R4")
            if each.type not in KINDS:
                tally.pass_over("resources of other kinds", "not used")
            elif _is_new(each, seen, tally):
                tally.read[each.type] += 1
                yield each
        done += path.stat().st_size
        progress(done, total)


def _tell(progress: Progress, before: int, total: int, done: int) -> None:
    progress(before + done, total)


def _files(source: Path, tally: Tally) -> list[Path]:
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise DataError(f"{source}: there is no such file or folder")
    found: list[Path] = []
    for path in walked(source, tally):
        if path.suffix.lower() in (".json", *_LINES):
            found.append(path)
        else:
            tally.pass_over("files", "neither .json nor .ndjson")
    if not found:
        raise DataError(f"{source}: holds no .json or .ndjson file")
    return found


def walked(folder: Path, tally: Tally) -> Iterator[Path]:
    """All plain files in `folder` and below, by name; what is a link may lead out of it."""
    for top, folders, files in os.walk(folder):
        here = Path(top)
        links = [name for name in folders if (here / name).is_symlink()]
        deep = len(here.relative_to(folder).parts) >= _DEEPEST
        tally.pass_over("folders", "a link", len(links))
        tally.pass_over("folders", "nested too deep", len(folders) if deep else 0)
        folders[:] = [] if deep else sorted(set(folders) - set(links))
        for name in sorted(files):
            path = here / name
            if path.is_symlink() or not path.is_file():
                tally.pass_over("files", "a link, or no plain file")
            else:
                yield path


def _shown(path: Path, source: Path) -> str:
    return path.name if path == source else path.relative_to(source).as_posix()


def _of_lines(
    path: Path, shown: str, tally: Tally, progress: Callable[[int], None]
) -> Iterator[Found]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MOST_LINE + 1):
            number += 1
            if number % _TOLD_EVERY == 0:
                progress(file.tell())
            place = f"{shown} line {number}"
            if len(line) > MOST_LINE:
                raise DataError(f"{place}: is longer than {MOST_LINE >> 20} MB")
            if line.strip():
                yield from _parsed(_json(line, place), place, tally)


def _of_document(path: Path, shown: str, tally: Tally) -> Iterator[Found]:
    if path.stat().st_size > MOST_DOCUMENT:
        raise DataError(
            f"{shown}: is larger than {MOST_DOCUMENT >> 20} MB; export it as NDJSON, a resource "
            "a line"
        )
    yield from _parsed(_json(path.read_bytes(), shown), shown, tally)


def _json(content: bytes, place: str) -> dict[str, Any]:
    try:
        document = json.loads(content.decode("utf-8-sig"), parse_constant=_no_number)
    except UnicodeDecodeError:
        raise DataError(f"{place}: is no UTF-8 text; export it again") from None
    except json.JSONDecodeError as error:
        more = error.msg.startswith("Extra data")
        remedy = "name it .ndjson if it has a resource a line" if more else "export it again"
        where = f" (its line {error.lineno})" if error.lineno > 1 else ""
        raise DataError(f"{place}: is broken JSON{where}; {remedy}") from None
    except RecursionError:
        raise DataError(f"{place}: is JSON nested too deep for FHIR") from None
    except ValueError:  # NaN, or a number of thousands of digits
        raise DataError(f"{place}: holds a number that is none in JSON") from None
    if not isinstance(document, dict):
        raise DataError(f"{place}: is no FHIR resource: expected an object with resourceType")
    return document


def _no_number(_word: str) -> NoReturn:
    raise ValueError


def _parsed(document: dict[str, Any], place: str, tally: Tally) -> Iterator[Found]:
    kind = _type_of(document, place)
    if kind != "Bundle":
        yield Found(place=place, type=kind, document=document)
        return
    if document.get("type") not in _BUNDLES:
        raise DataError(
            f"{place}: is a bundle of another type than transaction, collection or searchset"
        )
    entries = document.get("entry", [])
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise DataError(f"{place}: entry: expected a list of entries")
    urls: dict[str, str] = {}
    inner: list[tuple[int, dict[str, Any]]] = []
    for number, entry in enumerate(entries, 1):
        resource, url = entry.get("resource"), entry.get("fullUrl")
        if not isinstance(resource, dict):
            tally.pass_over("entries", "no resource")
            continue
        if isinstance(url, str) and 0 < len(url) <= 2048:
            resource.setdefault("id", url.rpartition("/")[2].rpartition(":")[2][:128])
            if isinstance(resource["id"], str):
                urls[url] = resource["id"]
        inner.append((number, resource))
    for number, resource in inner:
        at = f"{place} entry {number}"
        kind = _type_of(resource, at)
        if kind == "Bundle":
            tally.pass_over("entries", "a bundle in a bundle")
            continue
        yield Found(place=at, type=kind, document=resource, urls=urls)


def _type_of(document: dict[str, Any], place: str) -> str:
    kind = document.get("resourceType")
    if not isinstance(kind, str) or not _TYPE.fullmatch(kind):
        raise DataError(f"{place}: is no FHIR resource: resourceType is missing or no name")
    return kind


def _is_new(found: Found, seen: dict[bytes, bytes], tally: Tally) -> bool:
    """Whether it is the first of its id; `seen` keeps hashes, of millions of them."""
    own = found.document.get("id")
    if not isinstance(own, str):
        return True
    key = _hash(f"{found.type}/{own}".encode("utf-8", "surrogatepass"))
    plain = {name: value for name, value in found.document.items() if name not in ("meta", "text")}
    content = _hash(json.dumps(plain, sort_keys=True).encode())
    known = seen.get(key)
    if known is None:
        seen[key] = content
        return True
    if known != content:
        raise DataError(
            f"{found.place}: a {found.type} has the id of an earlier one and another content; are "
            "two exports in one folder? Keep the newer"
        )
    tally.pass_over(found.type, "there twice")
    return False


def _hash(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=8).digest()
