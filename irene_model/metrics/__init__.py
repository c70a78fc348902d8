"""Numbers from score histograms.

In: counts of patients by score. Out: AUROC, AUPRC, calibration, and their bootstrap.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
