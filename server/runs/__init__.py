"""A run's folder.

In: what a round brought. Out: checkpoints, journals and accounts that outlive a killed server.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
