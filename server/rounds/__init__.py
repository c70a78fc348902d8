"""A run's rounds.

In: a study and Flower's grid. Out: invitations, replies, judged updates, and a line a round.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
