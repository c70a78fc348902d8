"""What a hospital's people agree to.

In: a study's text and a connection. Out: keys, an approval by fingerprint, and what was released
under it.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
