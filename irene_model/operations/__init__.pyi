from .gateway_reach import Reach, Reached, reach
from .health import Health, keeps_ending, probe
from .processors import usable_processors
from .proxies import loopback_direct, without_proxies
from .supervised import Running, running, stop, supervisor_of
from .supervisor import Service, Supervisor
from .task_token import take_back, write_program

__all__ = [
    "Health",
    "Reach",
    "Reached",
    "Running",
    "Service",
    "Supervisor",
    "keeps_ending",
    "loopback_direct",
    "probe",
    "reach",
    "running",
    "stop",
    "supervisor_of",
    "take_back",
    "usable_processors",
    "without_proxies",
    "write_program",
]
