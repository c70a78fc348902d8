from .files import Radiograph, load_image, quiet
from .headers import HeaderFacts
from .many import ImageFile, Progress, RadiographReader, read_headers, read_radiographs
from .names import on_disk
from .problems import BadImages, by_cause, refusal

__all__ = [
    "BadImages",
    "HeaderFacts",
    "ImageFile",
    "Progress",
    "Radiograph",
    "RadiographReader",
    "by_cause",
    "load_image",
    "on_disk",
    "quiet",
    "read_headers",
    "read_radiographs",
    "refusal",
]
