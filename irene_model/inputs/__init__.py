"""From a record to tensors.

In: pixels, words and numbers of one encounter. Out: the batch that a model reads, masked where
something is missing.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
