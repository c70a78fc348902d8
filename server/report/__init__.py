"""A run as one page.

In: a run's results. Out: a self-contained HTML file with its plots.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
