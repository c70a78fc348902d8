from .explanation import explain
from .layout import TokenLayout
from .pictures import picture
from .reading import Reading, read

__all__ = [
    "Reading",
    "TokenLayout",
    "explain",
    "picture",
    "read",
]
