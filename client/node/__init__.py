"""The hospital's running node.

In: an approved site. Out: supervised processes that run installed code alone, and their status.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
