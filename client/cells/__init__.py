"""One cell of text to one value, for each kind of column.

In: a cell, and what site.yaml says of its column. Out: a value, None where nothing is known, or a
`CellError` that says what kind of thing stands there, and never the thing.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
