from .census import SiteCensus, write_census
from .dealing import DealError, deal, label_suits, site_sizes, tilted, visitors
from .folds import LEAST_FOLDS, deal_folds, splits_of
from .lots import lacking, rates, scanners
from .recipe import SplitRecipe
from .shares import iid, label_skew, quantity_skew, sizes
from .writing import picture_split, write_split

__all__ = [
    "LEAST_FOLDS",
    "DealError",
    "SiteCensus",
    "SplitRecipe",
    "deal",
    "deal_folds",
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
    "splits_of",
    "tilted",
    "visitors",
    "write_census",
    "write_split",
]
