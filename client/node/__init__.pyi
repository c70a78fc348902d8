from .node import check_connection, run_node
from .status import look
from .status_view import show
from .systemd import unit, unit_name, write_unit

__all__ = [
    "check_connection",
    "look",
    "run_node",
    "show",
    "unit",
    "unit_name",
    "write_unit",
]
