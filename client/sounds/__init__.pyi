from .kept import keep_sounds
from .many import RecordSounds, read_sounds
from .recordings import Recording, load_sounds

__all__ = [
    "RecordSounds",
    "Recording",
    "keep_sounds",
    "load_sounds",
    "read_sounds",
]
