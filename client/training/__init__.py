"""One round at one site.

In: the round's weights and the site's patients. Out: a noised update, or noised histograms, noted
before it leaves.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
