"""What travels between server and sites.

In: messages of the other side, bounded as they are read. Out: typed requests and replies.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
