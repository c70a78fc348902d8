"""How to spend a privacy budget, proposed from public numbers alone.

In: a study, the sizes of its sites, an epsilon. Out: settings, each with its reason; a scenario
with them in it; and what made-up patients make of them.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
