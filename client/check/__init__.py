"""What a hospital should know of its own files before it joins.

In: a site and a study. Out: counts, gaps and warnings; never a patient's value.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
