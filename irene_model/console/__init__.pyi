from .console import Version, configure_logging, new_app, picture_file, run_app, tell_status
from .durations import ago, span
from .figures import figure, known

__all__ = [
    "Version",
    "ago",
    "configure_logging",
    "figure",
    "known",
    "new_app",
    "picture_file",
    "run_app",
    "span",
    "tell_status",
]
