from .folders import locked_cache
from .pixels import PIXELS, keep_pixels
from .stamps import FileRead

__all__ = [
    "PIXELS",
    "FileRead",
    "keep_pixels",
    "locked_cache",
]
