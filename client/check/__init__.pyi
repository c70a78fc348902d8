from .quality import QualityReport, Survey, survey, with_cost

__all__ = [
    "QualityReport",
    "Survey",
    "survey",
    "with_cost",
]
