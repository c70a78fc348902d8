from .comparison_page import best_first, gains_by_way, write_page
from .numbers_table import numbers_csv
from .square_axes import Place, SquareChart, Trace, square_chart

__all__ = [
    "Place",
    "SquareChart",
    "Trace",
    "best_first",
    "gains_by_way",
    "numbers_csv",
    "square_chart",
    "write_page",
]
