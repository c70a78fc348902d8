from .csv_files import trimmed
from .parts import TableParts, read_parts
from .plain_text import OddTable
from .table_file import read_table

__all__ = [
    "OddTable",
    "TableParts",
    "read_parts",
    "read_table",
    "trimmed",
]
