from .chain import Entry, append, verify
from .console import Version, configure_logging, new_app, picture_file, run_app, tell_status
from .durations import ago, span
from .figures import figure, known
from .gateway_reach import Reach, Reached, reach
from .health import Health, keeps_ending, probe
from .journal import Fact, Journal
from .private_files import open_private, private_folder, tighten, tighten_all, write_private
from .processes import Running, Service, Supervisor, running, stop, supervisor_of
from .proxies import loopback_direct, without_proxies
from .task_token import take_back, write_program

__all__ = [
    "Entry",
    "Fact",
    "Health",
    "Journal",
    "Reach",
    "Reached",
    "Running",
    "Service",
    "Supervisor",
    "Version",
    "ago",
    "append",
    "configure_logging",
    "figure",
    "keeps_ending",
    "known",
    "loopback_direct",
    "new_app",
    "open_private",
    "picture_file",
    "private_folder",
    "probe",
    "reach",
    "run_app",
    "running",
    "span",
    "stop",
    "supervisor_of",
    "take_back",
    "tell_status",
    "tighten",
    "tighten_all",
    "verify",
    "without_proxies",
    "write_private",
    "write_program",
]
