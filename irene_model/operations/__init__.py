"""Programs that run for weeks.

In: commands to supervise. Out: processes that are started again and probed, journals that can't
be rewritten unseen, and a console that tells.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
