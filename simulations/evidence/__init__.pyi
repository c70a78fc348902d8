from .evidence import evidence_of
from .multiplicity import holm
from .scored_cohort import ScoredCohort

__all__ = [
    "ScoredCohort",
    "evidence_of",
    "holm",
]
