from .fhir import read_fhir
from .history import MOST_TEXT, History, LabSpool, Picture, Progress, Tally
from .moments import Moment
from .omop import read_omop
from .pictures import Scanned, by_name, read_pacs, scan

__all__ = [
    "MOST_TEXT",
    "History",
    "LabSpool",
    "Moment",
    "Picture",
    "Progress",
    "Scanned",
    "Tally",
    "by_name",
    "read_fhir",
    "read_omop",
    "read_pacs",
    "scan",
]
