"""IRENE itself.

In: a batch of tensors. Out: logits, losses, and attention where it is asked for.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
