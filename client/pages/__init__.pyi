from .check_page import write_check_page
from .check_view import show_check

__all__ = [
    "show_check",
    "write_check_page",
]
