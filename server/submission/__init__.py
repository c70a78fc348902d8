"""A run on its way through Flower.

In: a study and the coordinator's journal. Out: a run that is followed, taken up again when its
process is lost, or ended for good.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
