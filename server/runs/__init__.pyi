from .accounting import may_be_charged, spending, spent_until
from .checkpoint_files import FEWEST, KEPT
from .disclosed import disclosure
from .disk import clear_of_disk_errors
from .line_bounds import bounded, clean, finite
from .lines import (
    CANCELLED,
    Json,
    JsonMapping,
    end_of,
    epsilon_in,
    is_line,
    loads,
    moment,
    read_json,
    read_lines,
)
from .log_file import run_log
from .run_folder import RunFolder, now, versions
from .waiting_note import sentence, waiting

__all__ = [
    "CANCELLED",
    "FEWEST",
    "KEPT",
    "Json",
    "JsonMapping",
    "RunFolder",
    "bounded",
    "clean",
    "clear_of_disk_errors",
    "disclosure",
    "end_of",
    "epsilon_in",
    "finite",
    "is_line",
    "loads",
    "may_be_charged",
    "moment",
    "now",
    "read_json",
    "read_lines",
    "run_log",
    "sentence",
    "spending",
    "spent_until",
    "versions",
    "waiting",
]
