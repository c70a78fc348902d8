"""Flower's simulation engine on Ray: its processes, how messages reach them, and what these keep.

In: a server, a client and the sites. Out: a run on this machine, or on a Ray cluster.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
