"""The process that answers messages and stays between them, and how a message reaches it.

In: one message at a time, through a Unix socket in the node's folder, from the node's SuperExec.
Out: the site's answer. What this door offers imports neither torch nor Flower.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
