"""Which rows of two tables belong together, and the likely cause where they don't.

In: the key columns of both. Out: keys as they are compared, counts of partners, one sentence.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
