from .counts import BINS, LabCounts
from .doubts import Doubt
from .quality import QualityReport, Survey, survey, with_cost

__all__ = [
    "BINS",
    "Doubt",
    "LabCounts",
    "QualityReport",
    "Survey",
    "survey",
    "with_cost",
]
