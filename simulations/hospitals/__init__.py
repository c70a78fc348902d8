"""A scenario's hospitals on disk: synthetic ones, and real ones that it joins.

In: a scenario. Out: one folder a site, as a real hospital's, and its `site.yaml`.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
