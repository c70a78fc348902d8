"""The private gradient.

In: a model and a batch of patients. Out: clipped per-patient gradients, summed and noised.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
