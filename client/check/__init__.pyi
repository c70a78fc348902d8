from .coverage import Coverage
from .quality import QualityReport, Survey, survey, with_cost

__all__ = [
    "Coverage",
    "QualityReport",
    "Survey",
    "survey",
    "with_cost",
]
