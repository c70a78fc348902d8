"""Attacks on our own claim.

In: a scenario with canaries. Out: a lower bound on epsilon, beside the one that was promised.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
