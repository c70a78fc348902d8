"""What missing modalities cost: in training, in use, at random and as the cohort lacks them.

In: a scenario and rates. Out: AUROC of each training under each lack, as files and as a page.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
