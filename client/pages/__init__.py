"""What a hospital's people look at: the check of their files, at a terminal and as a page.

In: what the check found. Out: text, and self-contained HTML for its owner alone.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
