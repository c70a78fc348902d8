from .table_file import read_table

__all__ = [
    "read_table",
]
