"""The contract that all sites share.

In: a `study.yaml`. Out: a frozen `Study`, what a record is, and how arrays travel under it.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
