from .folders import locked_cache
from .pixels import PIXELS, keep_pixels
from .stamps import FileRead
from .vectors import file_of, keep_vectors

__all__ = [
    "PIXELS",
    "FileRead",
    "file_of",
    "keep_pixels",
    "keep_vectors",
    "locked_cache",
]
