"""What noise costs.

In: mechanisms, and a delta. Out: epsilon by two accountants, and the noise for an epsilon.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
