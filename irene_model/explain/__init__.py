"""What a prediction rests on.

In: a model and one record. Out: attention, evidence, and a picture of both.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
