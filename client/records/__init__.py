"""From a hospital's files to tensors on its disk.

In: tables, images and texts as a `Site` describes them. Out: a checked, cached `SiteDataset`.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
