from .census import SiteCensus, write_census
from .dealing import DealError, deal, label_suits, site_sizes, tilted, visitors
from .lots import lacking, rates, scanners
from .recipe import SplitRecipe
from .shares import iid, label_skew, quantity_skew, sizes
from .writing import picture_split, write_split

__all__ = [
    "DealError",
    "SiteCensus",
    "SplitRecipe",
    "deal",
    "iid",
    "label_skew",
    "label_suits",
    "lacking",
    "picture_split",
    "quantity_skew",
    "rates",
    "scanners",
    "site_sizes",
    "sizes",
    "tilted",
    "visitors",
    "write_census",
    "write_split",
]
