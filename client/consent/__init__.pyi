from .consent import Asked, Consent, journal_of, user
from .keys import key_sha256, make_key
from .study_settings import plain, unusual

__all__ = [
    "Asked",
    "Consent",
    "journal_of",
    "key_sha256",
    "make_key",
    "plain",
    "unusual",
    "user",
]
