"""All radiographs of a hospital looked at together, as the model will see them.

In: records and their files. Out: counts, fingerprints, some radiographs for people to look at, what
can't be read by cause, and sentences of doubt without a patient's value.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
