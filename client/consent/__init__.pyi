from .consent import Asked, Consent, journal_of, user
from .keys import key_sha256, make_key
from .mask_keys import make_mask_key, mask_key_files, read_mask_key
from .study_settings import plain, unusual

__all__ = [
    "Asked",
    "Consent",
    "journal_of",
    "key_sha256",
    "make_key",
    "make_mask_key",
    "mask_key_files",
    "plain",
    "read_mask_key",
    "unusual",
    "user",
]
