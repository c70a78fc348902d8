from .certificates import days_left, read_certificate, write_private
from .control import Control, ControlError, NodeStatus, RunStatus
from .coordinator import Coordinator, CoordinatorSettings, Loopback, account
from .database import problem_of
from .enrolment import Enrolment, check_name, enroll, expel, read_public_key, restore
from .gateway_probe import reach
from .locks import alone
from .run_records import Handed, RunRecord, note_cancelled, note_ended, read_record, read_records
from .services import check_start, require_started, services_of
from .submission import Json, Submission, begin, begun_run, executor, new_run, run_folder, submit

__all__ = [
    "Control",
    "ControlError",
    "Coordinator",
    "CoordinatorSettings",
    "Enrolment",
    "Handed",
    "Json",
    "Loopback",
    "NodeStatus",
    "RunRecord",
    "RunStatus",
    "Submission",
    "account",
    "alone",
    "begin",
    "begun_run",
    "check_name",
    "check_start",
    "days_left",
    "enroll",
    "executor",
    "expel",
    "new_run",
    "note_cancelled",
    "note_ended",
    "problem_of",
    "reach",
    "read_certificate",
    "read_public_key",
    "read_record",
    "read_records",
    "require_started",
    "restore",
    "run_folder",
    "services_of",
    "submit",
    "write_private",
]
