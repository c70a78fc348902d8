"""The complaint about a cell, to which its column adds file, line and name."""


class CellError(ValueError):
    """What is wrong with a cell: its kind, the bound and the remedy, never its content."""
