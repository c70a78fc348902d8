from .certificates import days_left, read_certificate, write_private
from .control import Control, ControlError, NodeStatus, RunStatus
from .coordinator import Coordinator, CoordinatorSettings, Loopback, account
from .database import problem_of
from .enrolment import Enrolment, check_name, enroll, expel, read_public_key, restore
from .gateway_probe import reach
from .locks import alone, is_held, server_lock
from .roster import check_roster, read_mask_key, roster_of, write_roster
from .run_records import (
    Handed,
    RunRecord,
    note_cancelled,
    note_ended,
    note_submitted,
    read_record,
    read_records,
)
from .services import check_start, require_started, services_of

__all__ = [
    "Control",
    "ControlError",
    "Coordinator",
    "CoordinatorSettings",
    "Enrolment",
    "Handed",
    "Loopback",
    "NodeStatus",
    "RunRecord",
    "RunStatus",
    "account",
    "alone",
    "check_name",
    "check_roster",
    "check_start",
    "days_left",
    "enroll",
    "expel",
    "is_held",
    "note_cancelled",
    "note_ended",
    "note_submitted",
    "problem_of",
    "reach",
    "read_certificate",
    "read_mask_key",
    "read_public_key",
    "read_record",
    "read_records",
    "require_started",
    "restore",
    "roster_of",
    "server_lock",
    "services_of",
    "write_private",
    "write_roster",
]
