from .chain import Entry, append, verify
from .journal import Fact, Journal
from .private_files import open_private, private_folder, sync, tighten, tighten_all, write_private

__all__ = [
    "Entry",
    "Fact",
    "Journal",
    "append",
    "open_private",
    "private_folder",
    "sync",
    "tighten",
    "tighten_all",
    "verify",
    "write_private",
]
