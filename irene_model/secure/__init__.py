"""Secure sums: the coordinator sees the sum over all sites, and nothing of one.

In: a site's clipped sum, its share of the noise, its mask key and an attempt with its partners.
Out: the masked vector, (D,) uint32, and from all of them the sum. Pure: no file, no message. What
it proves, and for whom, is in docs/privacy.md.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
