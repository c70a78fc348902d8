"""The rivals that IRENE is compared with.

In: a configuration that names a method. Out: a model with as many parameters as IRENE has, or a
linear probe of frozen features.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
