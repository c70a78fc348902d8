"""What scores of test patients say beyond AUROC, and how sure it is.

In: probabilities, labels and the bootstrap's draws of patients. Out: operating points, calibration,
groups of patients and the gaps between them, each with its standard error.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
