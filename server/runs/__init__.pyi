from .accounting import may_be_charged, spending
from .disclosed import disclosure
from .log_file import run_log
from .run_folder import Json, RunFolder, finite, now, versions

__all__ = [
    "Json",
    "RunFolder",
    "disclosure",
    "finite",
    "may_be_charged",
    "now",
    "run_log",
    "spending",
    "versions",
]
