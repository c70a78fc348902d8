from .files import Radiograph, load_image
from .headers import HeaderFacts
from .many import ImageFile, Progress, read_headers, read_radiographs
from .names import on_disk
from .problems import BadImages, refusal

__all__ = [
    "BadImages",
    "HeaderFacts",
    "ImageFile",
    "Progress",
    "Radiograph",
    "load_image",
    "on_disk",
    "read_headers",
    "read_radiographs",
    "refusal",
]
