"""What people read at a terminal.

In: numbers, durations, an error. Out: words for them, an exit code, and one clear sentence.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
