"""What can be told of a hospital's texts without showing them: counts, and what looks wrong.

In: records and how the study reads texts. Out: how much the model can read, whether a text gives
its labels away, whether people seem to be named; never a word of a text.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
