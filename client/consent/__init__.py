"""What a hospital's people agree to.

In: a study's text, and the word of somebody who has read it. Out: an approval by fingerprint in the
site's journal, and the keys that it is known by.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
