from .coded import Coded, CodedColumn, Rows
from .column import Column
from .long_table import LongRows, coded_rows, read_rows
from .measured import measured_in, with_signs
from .moments import NOT_READ, seconds_from

__all__ = [
    "NOT_READ",
    "Coded",
    "CodedColumn",
    "Column",
    "LongRows",
    "Rows",
    "coded_rows",
    "measured_in",
    "read_rows",
    "seconds_from",
    "with_signs",
]
