from .consent import Asked, Consent, journal_of, user
from .keys import key_sha256, make_key
from .releases import Releases
from .study_settings import plain
from .study_view import show_here, show_study

__all__ = [
    "Asked",
    "Consent",
    "Releases",
    "journal_of",
    "key_sha256",
    "make_key",
    "plain",
    "show_here",
    "show_study",
    "user",
]
