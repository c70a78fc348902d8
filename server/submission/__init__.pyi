from .cancellation import cancel
from .following import carry_out

__all__ = [
    "cancel",
    "carry_out",
]
