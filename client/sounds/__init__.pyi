from .kept import SOUNDS, keep_sounds
from .many import RecordSounds, read_sounds
from .recordings import Recording, load_sounds

__all__ = [
    "SOUNDS",
    "RecordSounds",
    "Recording",
    "keep_sounds",
    "load_sounds",
    "read_sounds",
]
