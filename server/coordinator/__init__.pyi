from .certificates import days_left, read_certificate
from .control import Control, ControlError, NodeStatus
from .coordinator import Coordinator, CoordinatorSettings, Loopback, account
from .enrolment import Enrolment, check_name, enroll, expel, read_public_key
from .gateway_probe import Reach, reach
from .services import check_start, require_started, services_of
from .submission import active, begun_run, carry_out, new_run, submit

__all__ = [
    "Control",
    "ControlError",
    "Coordinator",
    "CoordinatorSettings",
    "Enrolment",
    "Loopback",
    "NodeStatus",
    "Reach",
    "account",
    "active",
    "begun_run",
    "carry_out",
    "check_name",
    "check_start",
    "days_left",
    "enroll",
    "expel",
    "new_run",
    "reach",
    "read_certificate",
    "read_public_key",
    "require_started",
    "services_of",
    "submit",
]
