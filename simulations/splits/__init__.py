"""How one cohort becomes many sites, and what came of it.

In: a recipe of skews, and what each patient is like. Out: a site for each patient, what each site
lacks, and a census of the sites as a table and as a picture.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
