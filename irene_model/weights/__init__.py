"""Weights by name.

In: a study, and files of other models where it starts from one. Out: models, the arrays that
travel, and which of them are trained by whom.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
