from .clock import Reading, coordinators_time, keep, kept
from .clock_probe import read_clock
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
from .flower_clock import keep_time
from .pauses import quicken
from .proxy import NONE, shown, way_out
from .trouble import explained

__all__ = [
    "NONE",
    "Connection",
    "Progress",
    "Reading",
    "connection_in",
    "coordinators_time",
    "explained",
    "follow",
    "forget",
    "keep",
    "keep_time",
    "kept",
    "last_progress",
    "log_file",
    "node_folder",
    "quicken",
    "read_clock",
    "remember",
    "remembered",
    "shown",
    "way_out",
]
