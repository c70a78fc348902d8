"""What may still be spent.

In: the ledger, the site's budget and a study's plan. Out: what fits, what further rounds would
cost, and what people see of it before they approve.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
