"""Radiographs in whatever file a hospital has them, and what their headers say.

In: files. Out: the grey square that the model reads, header facts, and what can't be read by cause.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
