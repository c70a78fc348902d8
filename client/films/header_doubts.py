"""What the DICOM headers of a site's radiographs say that a hospital should know before it joins.

Each sentence holds a count, and of the headers at most DICOM's own code words: never an id.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from client.images import HeaderFacts
from client.site import ImageFilter

_RADIOGRAPHY = ("CR", "DX", "DR", "RG", "RF")
_FRONTAL = ("PA", "AP")
_PSEUDONYMS = 3  # of fewer patients nobody can tell pseudonyms from slips
_CHEST = ("CHEST", "THORAX", "TORAX", "LUNG", "TORACE", "BRUST", "POUMON", "POITRINE")


@dataclass(frozen=True, kw_only=True)
class Headed:
    """A readable image's header, and the id of the patient whom the table gives it to."""

    header: HeaderFacts
    patient_id: str = field(repr=False)


def doubt_headers(images: Sequence[Headed], wanted: ImageFilter) -> list[str]:
    """One sentence for each kind of doubt; `wanted` words are no doubt."""
    headers = [each.header for each in images]
    modalities = wanted.modality or _RADIOGRAPHY
    views = wanted.views or _FRONTAL
    return [
        *_words(
            (h.known_modality for h in headers if h.modality and h.modality not in modalities),
            "are of modality {}, no radiographs",
        ),
        *_words(
            (h.known_view for h in headers if h.view and h.view not in views),
            f"are of view {{}}, not {' or '.join(views)}",
        ),
        *_told(
            headers,
            lambda h: h.called_lateral and not h.view,
            "are called lateral by their description, and name no view (ViewPosition): look at "
            "them",
        ),
        *_told(
            headers,
            lambda h: bool(h.body_part) and not any(each in h.body_part for each in _CHEST),
            "are of another part of the body than the chest (BodyPartExamined)",
        ),
        *_told(
            headers,
            lambda h: h.raw,
            "are raw detector data (FOR PROCESSING), which look unlike those made for eyes: export "
            "those FOR PRESENTATION",
        ),
        *_told(
            headers,
            lambda h: h.burned_in,
            "have writing in the picture (BurnedInAnnotation), perhaps a name: look at them",
        ),
        *_told(
            headers,
            _is_mirrored,
            "are mirrored or turned, by their PatientOrientation: look at them",
        ),
        *_told(
            headers,
            lambda h: h.turned % 360 != 0 and not h.columns_to,
            "are turned against the detector (FieldOfViewRotation) and don't say how the patient "
            "stands (PatientOrientation): are they upright?",
        ),
        *_unstated(headers, wanted),
        *_doubt_patients(images),
    ]


def _told(
    headers: Iterable[HeaderFacts], holds: Callable[[HeaderFacts], bool], said: str
) -> list[str]:
    count = sum(map(holds, headers))
    return [f"{count} images {said}"] if count else []


def _words(found: Iterable[str], said: str) -> list[str]:
    words = Counter(found)
    return [f"{count} images {said.format(word)}" for word, count in words.most_common()]


def _is_mirrored(header: HeaderFacts) -> bool:
    """Shown upright, columns run to the feet, and rows of a frontal view to the patient's left."""
    if header.columns_to and not header.columns_to.startswith("F"):
        return True
    return header.view in (*_FRONTAL, "") and header.rows_to.startswith("R")


def _unstated(headers: Sequence[HeaderFacts], wanted: ImageFilter) -> list[str]:
    said = []
    for asked, key, words in (
        (wanted.views, "views", [header.view for header in headers]),
        (wanted.modality, "modality", [header.modality for header in headers]),
    ):
        count = words.count("")
        if asked and count:
            said.append(f"{count} images don't say what images.{key} asks for, and are kept")
    return said


def _doubt_patients(images: Sequence[Headed]) -> list[str]:
    pairs = [
        (_plain(each.header.patient_id), _plain(each.patient_id))
        for each in images
        if each.header.patient_id
    ]
    others = sum(header != table for header, table in pairs)
    of_header = Counter(header for header, _ in set(pairs))
    of_table = Counter(table for _, table in set(pairs))
    apart = max([*of_header.values(), *of_table.values()], default=1) == 1
    said = []
    # Where all differ, and each id of the one stands for one of the other, one is a pseudonym.
    if others and not (others == len(pairs) and apart and len(of_header) >= _PSEUDONYMS):
        said.append(
            f"{others} of {len(pairs)} images name another patient in their header (PatientID) "
            "than the table: are they the right files, or is one of the two a pseudonym?"
        )
    shared = sum(count > 1 for count in of_header.values())
    if shared and len(of_header) > 1:  # one for all is a word such as ANONYMOUS
        said.append(
            f"{shared} patients of the headers (PatientID) stand under several patient ids of the "
            "table: privacy is counted by the table's"
        )
    return said


def _plain(identifier: str) -> str:
    """Without what exporters change: case, padding, leading zeros."""
    return identifier.strip().upper().lstrip("0")
