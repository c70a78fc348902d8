"""The way to the coordinator.

In: an address, a CA, a proxy where the site names one. Out: a connection that is remembered, the
coordinator's time, and one sentence where there is no way through.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
