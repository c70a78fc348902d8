"""What can be seen of a coordinator while it works.

In: its folder, read and never written. Out: status, a live page, Prometheus' text, a verdict.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
