"""Synthetic patients.

In: prevalences and a seed. Out: radiographs, complaints and values that agree with a disease.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
