"""Programs that run for weeks.

In: commands to supervise, an address to reach. Out: processes that are started again, probed and
ended whole, and one word for what answers.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
