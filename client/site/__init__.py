"""The hospital's own description of its files and its limits.

In: `site.yaml`. Out: a frozen `Site`, and a refusal of a study that goes beyond its limits.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
