from .dicom_file import is_dicom, read_dataset
from .files import Radiograph, load_image, quiet
from .headers import HeaderFacts
from .many import ImageFile, Progress, RadiographReader, read_headers, read_radiographs
from .names import on_disk
from .problems import MOST_BYTES, BadImages, ImageProblem, by_cause, refusal

__all__ = [
    "MOST_BYTES",
    "BadImages",
    "HeaderFacts",
    "ImageFile",
    "ImageProblem",
    "Progress",
    "Radiograph",
    "RadiographReader",
    "by_cause",
    "is_dicom",
    "load_image",
    "on_disk",
    "quiet",
    "read_dataset",
    "read_headers",
    "read_radiographs",
    "refusal",
]
