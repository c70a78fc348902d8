"""A site's part in secure sums: its place in the roster, and what it sends instead of an update.

In: a question with an attempt and its partners, and the site's patients. Out: one vector with this
site's noise and its masks, noted in the ledger before it leaves. What is not noised or not masked
never leaves this wing.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
