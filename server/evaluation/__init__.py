"""From sites' score histograms to a model's metrics.

In: histograms, exact or noised. Out: values with intervals, pooled and by site.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
