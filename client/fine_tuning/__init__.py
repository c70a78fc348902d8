"""Training at home, in whole epochs and without privacy: for what does not leave the house.

In: first weights and the site's patients. Out: the weights that are best on its validation
patients, and what they gain on its test patients. No ledger is read or written.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
