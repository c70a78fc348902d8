"""Units as laboratories write them, and how a value comes from one into another.

In: two spellings, and what the study says of the substance. Out: a function from value to value, or
a refusal that names the nearest spelling which is known.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
