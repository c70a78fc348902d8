from .coverage import Coverage
from .quality import QualityReport, Survey, survey, with_cost
from .sound_quality import SOUND_KINDS

__all__ = [
    "SOUND_KINDS",
    "Coverage",
    "QualityReport",
    "Survey",
    "survey",
    "with_cost",
]
