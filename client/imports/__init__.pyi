from .choices import Choices, read_labels
from .importing import Stages, Target, import_dicom, import_fhir, import_omop

__all__ = [
    "Choices",
    "Stages",
    "Target",
    "import_dicom",
    "import_fhir",
    "import_omop",
    "read_labels",
]
