"""What a radiograph's DICOM header says beside its pixels: facts to count, or to choose by."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from client.images.dicom_file import is_dicom, number, read_dataset, word, words_of
from client.images.problems import MOST_BYTES, ImageProblem

_START = 132
_RAW_CLASSES = (  # Digital X-Ray, mammography and intra-oral: "... For Processing"
    "1.2.840.10008.5.1.4.1.1.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.2.1",
    "1.2.840.10008.5.1.4.1.1.1.3.1",
)
# PS3.3 C.7.3.1.1.1, those of pictures; C.8.1.2 and C.8.11.5, and what is often written.
_MODALITIES = (
    *("CR", "DX", "DR", "RG", "RF", "XA", "XC", "MG", "IO", "PX", "OT", "CT", "MR", "US", "PT"),
    *("NM", "BI", "DG", "ES", "GM", "OP", "OPT", "SC", "SM", "BMD", "RTIMAGE", "SEG", "TG"),
)
_VIEWS = ("AP", "PA", "LL", "RL", "LLD", "RLD", "LLO", "RLO", "LATERAL", "LAT", "OBL")
_DESCRIPTIONS = ("SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription")
_LATERAL = re.compile(r"(?<![A-Z])(LAT|LATERAL\w*|LATL|SEITL\w*|PROFIL\w*|LL|RL)(?![A-Z])")


@dataclass(frozen=True, kw_only=True)
class HeaderFacts:
    """Words are in capitals, empty where the header does not say.

    raw: detector data that is meant for processing, not for eyes. rows_to, columns_to: the
    patient's side to which rows and columns run (L, F, ...). turned: by degrees, against the
    detector. called_lateral: by a free text, of which no more than that is kept.
    """

    modality: str = ""
    view: str = ""
    body_part: str = ""
    raw: bool = False
    burned_in: bool = False
    patient_id: str = field(default="", repr=False)
    rows_to: str = ""
    columns_to: str = ""
    turned: float = 0.0
    called_lateral: bool = False

    @property
    def known_modality(self) -> str:
        """The modality if it is one of DICOM's; a free word could be anything, a name too."""
        return self.modality if self.modality in _MODALITIES else "unknown to DICOM"

    @property
    def known_view(self) -> str:
        """The view, likewise."""
        return self.view if self.view in _VIEWS else "unknown to DICOM"


def facts_of(dataset: Any) -> HeaderFacts:
    """The facts of a parsed header."""
    sides = words_of(dataset, "PatientOrientation")
    return HeaderFacts(
        modality=word(dataset, "Modality"),
        view=word(dataset, "ViewPosition"),
        body_part=word(dataset, "BodyPartExamined"),
        raw=word(dataset, "PresentationIntentType") == "FOR PROCESSING"
        or word(dataset, "SOPClassUID") in _RAW_CLASSES,
        burned_in=word(dataset, "BurnedInAnnotation") == "YES",
        patient_id=word(dataset, "PatientID"),
        rows_to=sides[0] if len(sides) == 2 else "",
        columns_to=sides[1] if len(sides) == 2 else "",
        turned=number(dataset, "FieldOfViewRotation") or 0.0,
        called_lateral=any(_LATERAL.search(word(dataset, text)) for text in _DESCRIPTIONS),
    )


def read_header(path: Path) -> HeaderFacts | None:
    """The facts of a file without its pixels; None for a picture without such a header.

    A file that can't be read says nothing here: who reads its pixels complains.
    """
    try:
        with path.open("rb") as file:
            if path.stat().st_size > MOST_BYTES or not is_dicom(file.read(_START)):
                return None
            file.seek(0)
            return facts_of(read_dataset(file, pixels=False))
    except (OSError, ImageProblem):
        return None
