from .cancellation import cancel
from .following import carry_out
from .submission import begin, begun_run, new_run

__all__ = [
    "begin",
    "begun_run",
    "cancel",
    "carry_out",
    "new_run",
]
