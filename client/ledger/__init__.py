"""What this site has spent, durably.

In: a reservation before anything is trained. Out: a charge that no crash forgets, the bytes of a
release to send once more, and a refusal where journal and ledger contradict each other.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
