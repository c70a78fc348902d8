from .connection import (
    Connection,
    Progress,
    connection_in,
    follow,
    forget,
    last_progress,
    log_file,
    node_folder,
    remember,
    remembered,
)
from .consent import Asked, Consent, journal_of, user
from .keys import key_sha256, make_key
from .releases import Releases
from .study_view import show_here, show_study

__all__ = [
    "Asked",
    "Connection",
    "Consent",
    "Progress",
    "Releases",
    "connection_in",
    "follow",
    "forget",
    "journal_of",
    "key_sha256",
    "last_progress",
    "log_file",
    "make_key",
    "node_folder",
    "remember",
    "remembered",
    "show_here",
    "show_study",
    "user",
]
