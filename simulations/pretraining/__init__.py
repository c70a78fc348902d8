"""First weights from public patients, and what they reach by themselves.

In: public folders, or a run with a start. Out: a model's folder, or the start's own metrics.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
