"""A column of a table: its cells as text, each with its place, and what is read of them.

In: cells and lines, or a file in parts. Out: values for each row or each distinct cell, or one
refusal that names the place. A table of millions of rows is kept as numbers into distinct cells.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
