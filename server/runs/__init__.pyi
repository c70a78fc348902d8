from .accounting import may_be_charged, spending
from .disclosed import disclosure
from .line_bounds import bounded, clean, finite
from .log_file import run_log
from .run_folder import Json, RunFolder, now, versions

__all__ = [
    "Json",
    "RunFolder",
    "bounded",
    "clean",
    "disclosure",
    "finite",
    "may_be_charged",
    "now",
    "run_log",
    "spending",
    "versions",
]
