"""A table's file to columns of text.

In: a CSV, Excel or Parquet file, or a query, and what site.yaml says of it. Out: names, cells and
the line of each row, or the cause why not.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
