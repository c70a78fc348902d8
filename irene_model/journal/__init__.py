"""Files that must hold.

In: what somebody did, or bytes for their owner alone. Out: a hash chain that can't be rewritten
unseen, and modes that no umask widens.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
