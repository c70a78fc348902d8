from .comparison_page import best_first, gains_by_way, write_page
from .numbers_table import numbers_csv

__all__ = [
    "best_first",
    "gains_by_way",
    "numbers_csv",
    "write_page",
]
