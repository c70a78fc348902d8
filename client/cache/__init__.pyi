from .folders import Cache, locked_cache
from .pixels import PIXELS, keep_pixels
from .stamps import FileRead

__all__ = [
    "PIXELS",
    "Cache",
    "FileRead",
    "keep_pixels",
    "locked_cache",
]
